"""Simulated starts: what must hold whatever the numbers are, and cases with a known answer."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.model.check import checks
from benchmarks.model.nodes_check import Room, Share, node_checks, predicted, share_of
from benchmarks.model.parameters import Parameters, origins, parameters
from benchmarks.model.start import FULL, LAZY, OURS, STAGES, Way, simulate
from benchmarks.model.supply import SUPPLIES, Supply
from tooling.places import REPOSITORY

WAYS = (FULL, LAZY, OURS)
SIZES = (1, 3, 40, 300)


@pytest.fixture(scope="module")
def site() -> Parameters:
    return parameters("site")


def alike(site: Parameters) -> Parameters:
    """Return the site with nodes that do not differ."""
    node = replace(site.node, spread=0.0, slow_share=0.0)
    return replace(site, node=node, environment=replace(site.environment, install_spread=0.0))


@pytest.mark.parametrize("place", ["laboratory", "site"])
def test_every_number_says_where_it_is_from(place: str) -> None:
    assert parameters(place)
    for origin in origins(place):
        assert len(origin.source) > 5, origin
        assert origin.value >= 0, origin
    assert origins("site", whole=False) != origins("site")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("supply", SUPPLIES)
def test_a_larger_job_of_equal_nodes_is_done_no_sooner(
    site: Parameters, way: Way, supply: Supply
) -> None:
    # Where blocks of plain files lie is chance: striped files show what is no chance.
    way = replace(way, checkpoint="striped")
    took = [simulate(alike(site), way, nodes, supply).seconds for nodes in SIZES]
    assert all(more >= less * (1 - 1e-9) for less, more in itertools.pairwise(took))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("supply", SUPPLIES)
def test_twice_the_bandwidth_everywhere_is_never_slower(
    site: Parameters, way: Way, supply: Supply
) -> None:
    twice = replace(
        site,
        node=replace(site.node, rate=2 * site.node.rate),
        registry=replace(
            site.registry,
            rate=2 * site.registry.rate,
            requests=2 * site.registry.requests,
            mirror_rate=2 * site.registry.mirror_rate,
        ),
        hdfs=replace(site.hdfs, rate=2 * site.hdfs.rate),
    )
    before, after = (simulate(one, way, 200, supply).seconds for one in (site, twice))
    assert after <= before * (1 + 1e-9)


def test_what_leaves_the_registry_is_once_for_each_node_or_mirror_or_for_all(
    site: Parameters,
) -> None:
    pack = site.image.hot_bytes
    mirrors = 100 / site.registry.mirror_nodes
    by_supply = {s: simulate(site, OURS, 100, s).registry_bytes for s in SUPPLIES}
    assert by_supply["registry"] == pytest.approx(100 * pack)
    assert by_supply["mirrors"] == pytest.approx(-(-mirrors // 1) * pack)
    assert by_supply["peers"] == pytest.approx(pack)


def test_a_link_that_all_share_bounds_what_a_thousand_nodes_pull(site: Parameters) -> None:
    nodes = 1000
    took = simulate(alike(site), replace(FULL, environment="mount"), nodes)
    least = nodes * site.image.bytes / site.registry.rate
    unpack = site.image.bytes * site.image.unpack_last / site.image.unpack_rate
    after = unpack + site.image.create + site.image.work
    delay = site.image.resolve_rounds * site.node.delay
    assert took.median("image") == pytest.approx(least + after + delay, rel=1e-6)


def test_answers_of_the_registry_bound_what_reads_by_small_requests(site: Parameters) -> None:
    nodes = 1000
    took = simulate(alike(site), LAZY, nodes).median("image")
    assert took >= nodes * site.image.lazy_requests / site.registry.requests


def test_one_node_has_its_link_to_itself(site: Parameters) -> None:
    one = simulate(alike(site), OURS, 1)
    image = site.image
    loaded = image.hot_bytes / site.node.rate
    worked = image.create + image.hot_work
    delay = image.resolve_rounds * site.node.delay
    assert one.median("image") == pytest.approx(max(loaded, worked) + delay)
    assert one.straggler == 1.0
    assert one.seconds == pytest.approx(sum(one.median(stage) for stage in STAGES))


def test_all_data_nodes_together_bound_how_fast_checkpoints_are_read(site: Parameters) -> None:
    nodes = 2000
    hdfs = site.hdfs
    least = nodes * site.checkpoint.bytes / (hdfs.data_nodes * hdfs.rate * hdfs.data_share)
    for way in (OURS, replace(OURS, checkpoint="plain")):
        start = simulate(alike(site), way, nodes)
        assert max(node["model"] for node in start.nodes) >= least * (1 - 1e-9)


def test_the_same_seed_gives_the_same_start_and_another_one_another(site: Parameters) -> None:
    starts = [simulate(site, FULL, 20, seed=seed).totals for seed in (1, 1, 2)]
    assert starts[0] == starts[1] != starts[2]


def test_a_slow_link_makes_a_straggler(site: Parameters) -> None:
    node = replace(site.node, slow_share=0.1)
    with_slow = simulate(replace(site, node=node), OURS, 60, "mirrors")
    assert with_slow.straggler > simulate(alike(site), OURS, 60, "mirrors").straggler


def test_ours_is_sooner_than_a_full_pull_at_every_size(site: Parameters) -> None:
    for nodes in SIZES:
        assert simulate(site, OURS, nodes).seconds < simulate(site, FULL, nodes).seconds / 2


def test_the_model_is_near_what_was_measured() -> None:
    found = checks(parameters("laboratory"), REPOSITORY / "docs" / "results")
    assert {check.kind for check in found} == {"fitted", "predicted"}
    for check in found:
        assert abs(check.error) < 0.4, check


def test_without_figures_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    assert checks(parameters("laboratory"), tmp_path) == []
    (tmp_path / "hot.json").write_text(json.dumps({"figures": []}))
    assert checks(parameters("laboratory"), tmp_path) == []


def startup(nodes: int, seconds: float, **more: object) -> dict[str, object]:
    sent = {"registry_bytes": 100e6, "uplink_bytes": 100e6, "node_bytes": 150e6}
    way = {"seconds": {"median": seconds}, **sent}
    conditions = {"rate": 800.0, "data_rate": 400.0, "nodes": nodes, "data_nodes": 2, **more}
    return {"conditions": conditions, "ways": {"c": way}}


def test_several_nodes_are_predicted_from_one(tmp_path: Path) -> None:
    (tmp_path / "startup.json").write_text(json.dumps(startup(1, 9.0, job="another")))
    (tmp_path / "startup-one.json").write_text(json.dumps(startup(1, 3.5)))
    (tmp_path / "startup-nodes.json").write_text(json.dumps(startup(4, 6.0)))
    (check,) = node_checks(tmp_path, cores=2.0, data_share=1.0)
    # 1 s of registry, 0.5 s of DataNodes alone; four nodes: 2 s of work on two cores take 4 s,
    # the registry's link has no limit of its own, and the DataNodes' is shared: 2 s.
    assert (check.measured, check.model) == (6.0, pytest.approx(1 + 4 + 2))
    assert check.error == pytest.approx(1 / 6)


ROOM = Room(cores=2.0, link=100e6, uplink=100e6, storage=100e6)
NEEDS = Share(registry=100e6, index=50e6, checkpoint=50e6, work=2.0)


def test_a_plain_file_is_read_from_one_data_node_by_all_nodes() -> None:
    conditions = {"rate": 800.0, "data_rate": 400.0, "data_nodes": 4}
    assert Room.of(conditions, 2.0, 1.0, plain=True).storage == pytest.approx(50e6)
    assert Room.of(conditions, 2.0, 1.0, plain=False).storage == pytest.approx(200e6)


def test_an_uplink_that_nodes_share_makes_each_wait() -> None:
    assert predicted(NEEDS, ROOM, 4) == pytest.approx(4 + 2 + 4 + 2)


def test_a_mirror_asks_the_registry_once_for_all_nodes_and_the_index_is_asked_by_each() -> None:
    assert predicted(NEEDS, ROOM, 4, mirror=True) == pytest.approx(1 + 2 + 4 + 2)


def test_one_node_under_the_same_conditions_takes_what_it_took() -> None:
    way = {"seconds": {"median": 4.5}, "registry_bytes": 100e6}
    way |= {"uplink_bytes": 150e6, "node_bytes": 200e6}
    share = share_of(way, ROOM)
    assert share == Share(100e6, 50e6, 50e6, pytest.approx(2.5))
    assert predicted(share, ROOM, 1) == pytest.approx(4.5)
