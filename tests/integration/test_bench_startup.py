"""Parts of `scripts/bench startup` with everything real but the job, which is tiny here."""

from collections.abc import Iterator

import pytest
from tiny_job import tiny_job

from benchmarks.lab.workdir import work_directory
from benchmarks.start import results, stages
from benchmarks.start.faults import COPIES, Fault
from benchmarks.start.measure import measure, start_everywhere, start_with_fault
from benchmarks.start.place import Place, Rates, place
from benchmarks.start.prepare import prepare
from benchmarks.start.ways import WAYS

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def prepared() -> Iterator[Place]:
    with work_directory() as work:
        (work / "job").mkdir()
        with place(work, tiny_job(work / "job"), nodes=2, data_nodes=2) as made:
            prepare(made, COPIES)
            yield made


@pytest.fixture(scope="module")
def ours(prepared: Place) -> results.Start:
    """All of ours on one node, and nothing goes wrong."""
    return start_everywhere(prepared, WAYS["c"], 10, nodes=1)


def test_a_job_starts_in_every_way_and_is_the_same_job(prepared: Place) -> None:
    starts: list[results.Start] = []
    measure(prepared, [WAYS["a"], WAYS["c"]], [1], starts.append)
    assert [start.way for start in starts] == ["a", "c"]
    assert not results.different_losses(starts)
    assert all(len(start.nodes) == 2 for start in starts)
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


@pytest.mark.parametrize("fault", [Fault.REGISTRY_RESTART])
def test_a_job_starts_anyway(prepared: Place, ours: results.Start, fault: Fault) -> None:
    start = start_with_fault(prepared, fault, 10, Rates())
    assert start.way == f"c+{fault.value}"
    assert not results.different_losses([ours, start])
    assert "first_step" in stages.medians(prepared.events / start.way)
