"""Parts of `scripts/bench startup` with everything real but the job, which is tiny here."""

from collections.abc import Iterator

import pytest
from tiny_job import tiny_job

from benchmarks.lab.workdir import work_directory
from benchmarks.start import results, stages
from benchmarks.start.conditions import usual_copies
from benchmarks.start.faults import Fault
from benchmarks.start.measure import start_everywhere, start_with_fault
from benchmarks.start.place import Place, Rates, place
from benchmarks.start.prepare import prepare
from benchmarks.start.ways import WAYS

pytestmark = pytest.mark.containers

NODES = 2
RATES = Rates(data_node=40.0)
"""So slow that a checkpoint is still being read when something happens to what has it."""


@pytest.fixture(scope="module")
def prepared() -> Iterator[Place]:
    with work_directory() as work:
        (work / "job").mkdir()
        with place(work, tiny_job(work / "job"), nodes=NODES, data_nodes=2) as made:
            prepare(made, usual_copies(list(Fault)))
            made.set_rates(RATES)
            yield made


@pytest.fixture(scope="module")
def ours(prepared: Place) -> results.Start:
    """All of ours on one node, and nothing goes wrong."""
    return start_everywhere(prepared, WAYS["c"], 1, nodes=1, cold=False)


def test_a_job_starts_on_many_nodes_in_every_way_and_is_the_same_job(
    prepared: Place, ours: results.Start
) -> None:
    full = start_everywhere(prepared, WAYS["a"], 1, nodes=1, cold=False)
    many = start_everywhere(prepared, WAYS["c"], 2, mirrored=True, cold=False)
    assert (full.way, many.way, len(many.nodes)) == ("a", "c", NODES)
    assert not results.different_losses([ours, full, many])
    assert many.registry_bytes <= 1.1 * ours.registry_bytes
    medians = {name: stages.medians(prepared.events / name) for name in ("a", "c")}
    for found in medians.values():
        # Not "environment": its end is told just before an exec, and no job waits for an event.
        assert {
            *("image.pull", "hdfs.mount"),
            *("packages", "checkpoint_load", "first_step"),
        } <= set(found)
    assert "deps.mount" in medians["c"]
    assert "deps.mount" not in medians["a"]
    assert "way c" in stages.page(prepared.events)
    assert not list(prepared.directory.glob("n*")), "nodes are removed"


@pytest.mark.parametrize("fault", Fault)
def test_a_job_starts_anyway(prepared: Place, ours: results.Start, fault: Fault) -> None:
    start = start_with_fault(prepared, fault, 10, RATES, cold=False)
    assert start.way == f"c+{fault.value}"
    assert not results.different_losses([ours, start])
    assert "first_step" in stages.medians(prepared.events / start.way)
    assert f"way {start.way}" in stages.page(prepared.events)
