"""What the benchmark of whole starts makes of what it measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.lab.containerd import hosts_toml
from benchmarks.lab.package_index import project_of
from benchmarks.start.conditions import DATA_NODES, RATE, Conditions
from benchmarks.start.faults import Fault, install_of, way_of
from benchmarks.start.kept import Kept
from benchmarks.start.results import (
    Goals,
    NodeStart,
    Start,
    by_way,
    different_losses,
    document,
    fault_costs,
    figures,
    starts_document,
    starts_from,
)
from benchmarks.start.ways import WAYS, Image
from bootseer.errors import CorruptError


def start(way: str, attempt: int, *seconds: float, loss: float = 0.5, sent: int = 100) -> Start:
    nodes = tuple(NodeStart(one, 1_000_000, {"loss": loss}) for one in seconds)
    return Start(way, attempt, nodes, sent, sent + 1)


def test_runs_that_were_made_in_turn_are_compared() -> None:
    starts = [start("c", 2, 10), start("a", 1, 30), start("c", 1, 15), start("a", 2, 40)]
    found = {one.name: one for one in figures(starts, Goals(sooner=3.0))}
    ratio = found["a / c, first step"]
    assert ratio.value == pytest.approx(3.0)
    assert ratio.met
    assert found["starts with other losses"].met


def test_ways_come_in_their_order_and_faults_after_them() -> None:
    starts = [start("c+link-tenth", 1, 9), start("c", 1, 5), start("a", 1, 20)]
    assert list(by_way(starts)) == ["a", "c", "c+link-tenth"]
    found = {one.name: one.value for one in figures(starts, Goals())}
    assert found["c+link-tenth / c, first step"] == pytest.approx(1.8)


def test_stages_that_paid_for_a_fault_are_named() -> None:
    usual = {"image.pull": 1.0, "packages": 5.0}
    slow = {"image.pull": 4.0, "packages": 5.1, "deps.repair": 0.5}
    (pull, repair) = fault_costs({"a": {"image.pull": 9.0}, "c": usual, "c+link-tenth": slow})
    assert (pull.name, pull.value) == ("c+link-tenth: image.pull, longer than c", 3.0)
    assert (repair.name, repair.value) == ("c+link-tenth: deps.repair, longer than c", 0.5)
    assert fault_costs({"c+link-tenth": slow}) == []


def test_a_job_waits_for_its_slowest_node() -> None:
    many = start("c", 1, 10, 12, 10)
    assert many.seconds == 12
    assert many.straggler == pytest.approx(1.2)
    alone = start("c", 0, 10, sent=100)
    starts = [start("c", 1, 10, 12, 10, sent=105), start("a", 1, 30, 60, 30)]
    found = {one.name: one for one in figures(starts, Goals(straggler=1.2, alone=alone))}
    assert found["c (all of ours): straggler"].met
    assert found["c (all of ours): from the registry / for one node"].value == pytest.approx(1.05)


def test_another_loss_is_named() -> None:
    starts = [start("a", 1, 1), start("c", 1, 1, loss=0.25)]
    (line,) = different_losses(starts)
    assert "way c, run 1, node 0" in line
    assert not {one.name: one.met for one in figures(starts, Goals())}["starts with other losses"]


def test_the_document_has_medians_by_way() -> None:
    starts = [start("a", 1, 30), start("a", 2, 50), start("a", 3, 40)]
    made = document(starts, {"a": {"image.pull": 9.0}}, [])
    assert made["ways"]["a"]["seconds"] == {"median": 40, "least": 30, "most": 50}
    assert made["ways"]["a"]["stages"] == {"image.pull": 9.0}
    assert starts_from(json.loads(json.dumps(made))["starts"]) == starts


def test_what_is_no_start_is_named() -> None:
    with pytest.raises(CorruptError, match="no starts"):
        starts_from([{"way": "a"}])


def test_starts_are_kept_by_their_conditions(tmp_path: Path) -> None:
    kept = Kept.open(tmp_path, {"rate": 200.0})
    assert kept.next_attempt == 1
    kept.add(start("c", 1, 5))
    again = Kept.open(tmp_path, {"rate": 200.0})
    assert starts_document(again.starts) == starts_document([start("c", 1, 5)])
    assert again.next_attempt == 2
    assert Kept.open(tmp_path, {"rate": 1000.0}).starts == []


def test_the_options_of_a_command_say_what_is_not_usual() -> None:
    usual = {"job": None, "data_rate": None, "uplink": 0.0, "mirror": False, "copies": 1}
    one = Conditions.of(rate=RATE, nodes=1, **usual)  # type: ignore[arg-type]
    assert one.job == "idpl"
    assert one.rates.data_node == RATE / DATA_NODES
    assert one.options([]) == []
    several = replace(one, job="light", nodes=4, data_rate=0.0, uplink=400.0, copies=2)
    assert " ".join(several.options(["link-tenth"])) == (
        "--nodes 4 --data-rate 0 --uplink 400 --fault link-tenth"
    )
    assert replace(one, job="light").options([]) == ["--job", "light"]
    assert replace(one, copies=3, mirror=True).options([]) == ["--copies", "3", "--mirror"]


def test_each_part_of_ours_is_left_out_once() -> None:
    ours = WAYS["c"]
    for name in ("c-image", "c-hot", "c-deps", "c-ckpt"):
        way = WAYS[name]
        parts = [way.image != ours.image, way.packages != ours.packages]
        assert sum([*parts, way.checkpoint != ours.checkpoint]) == 1


def test_a_fault_changes_the_name_of_ours_and_nothing_else() -> None:
    for fault in Fault:
        way = way_of(fault)
        assert way.name == f"c+{fault}"
        assert way.image is Image.HOT
    assert {install_of(fault).value for fault in Fault} == {"mount", "keep"}


def test_projects_are_named_as_pip_asks_for_them() -> None:
    assert project_of("scikit_learn-1.6.1-cp313-cp313-linux.whl") == "scikit-learn"
    assert project_of("Pillow-11.0-py3-none-any.whl") == "pillow"


def test_a_mirror_is_asked_before_the_registry() -> None:
    text = hosts_toml("192.0.2.1:5000", "192.0.2.2:8081")
    assert text.index('[host."http://192.0.2.2:8081"]') < text.index(
        '[host."http://192.0.2.1:5000"]'
    )
