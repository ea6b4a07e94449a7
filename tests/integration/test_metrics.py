"""What a lazy start moves in the metrics and the status, on the real components."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from small_image import SmallImage, indexed_image
from whole import Whole, bootseer, free_port, wait_for, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers

PORT = free_port()
SETTINGS = (
    f'metrics:\n  address: "127.0.0.1:{PORT}"\n'
    "hot:\n  quiet: 1\n  window: 6\n  layout: hot\nfill:\n  rate: 0\n"
)

Numbers = dict[str, float]


@pytest.fixture
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


@pytest.fixture
def image(node: Whole) -> SmallImage:
    return indexed_image(node)


def numbers(node: Whole) -> Numbers:
    """Return every sample, by its name and labels as they are printed."""
    text = bootseer("snapshotter", "metrics", "--config", str(node.daemon.config))
    samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in samples}


def moved(before: Numbers, after: Numbers) -> set[str]:
    return {name for name, value in after.items() if value > before[name]}


def counters(node: Numbers) -> Numbers:
    return {name: value for name, value in node.items() if "_total" in name}


def test_a_lazy_start_moves_what_it_should_and_nothing_else(node: Whole, image: SmallImage) -> None:
    node.pull(image.reference)
    before = numbers(node)
    node.run(image.reference, "sha256sum", image.big)
    after = numbers(node)
    assert before.keys() == after.keys()  # images and layers make no series of their own
    changed = moved(before, after)
    assert {
        'bootseer_reads_total{area="layer",source="demand"}',
        'bootseer_read_bytes_total{area="layer",source="demand"}',
        'bootseer_read_seconds_total{area="layer",source="demand"}',
        'bootseer_fetched_bytes_total{purpose="demand"}',
        'bootseer_fetched_bytes_total{purpose="ahead"}',
        'bootseer_starts_total{course="record"}',
        'bootseer_registry_received_bytes_total{kind="blob"}',
        "bootseer_cache_disk_bytes",
    } <= changed
    assert not [
        name for name in changed if "failed" in name or 'area="hot"' in name or '"fill"' in name
    ]
    read = sum(value for name, value in after.items() if "bootseer_read_bytes_total" in name)
    size = (node.directory / "image/data" / image.big.lstrip("/")).stat().st_size
    assert size <= read
    fetched = sum(value for name, value in after.items() if "bootseer_fetched_bytes_total" in name)
    assert fetched <= after['bootseer_registry_received_bytes_total{kind="blob"}']


def test_a_start_with_hot_blocks_is_counted_as_one(node: Whole, image: SmallImage) -> None:
    node.pull(image.reference)
    node.run(image.reference, "sha256sum", image.big)
    recorded = 'bootseer_records_total{outcome="published"}'
    wait_for(lambda: numbers(node)[recorded] == 1, "the record", seconds=60)
    before = numbers(node)
    node.run(image.reference, "sha256sum", image.big)
    after = numbers(node)
    assert {
        'bootseer_starts_total{course="records"}',
        "bootseer_prefetched_bytes_total",
        "bootseer_hot_bytes",
    } <= moved(before, after)
    told = node.daemon.status()["hot"]["images"]
    assert [one["course"] for one in told] == ["records"]
    shown = bootseer("status", "--config", str(node.daemon.config))
    assert re.search(rf"{re.escape(image.reference)} +default +records .*100% of", shown), shown


@pytest.mark.parametrize(("script", "used"), [("sha256sum {}", True), ("true", False)])
def test_what_was_prefetched_and_not_read_is_told_when_the_start_is_over(
    node: Whole, image: SmallImage, script: str, used: bool
) -> None:
    node.pull(image.reference)
    node.run(image.reference, "sha256sum", image.big)
    recorded = 'bootseer_records_total{outcome="published"}'
    wait_for(lambda: numbers(node)[recorded] == 1, "the record", seconds=60)
    node.run(image.reference, "sh", "-c", script.format(image.big))
    assert node.daemon.status()["hot"]["images"][0]["blocks_unused"] is None
    assert numbers(node)["bootseer_hot_measured_bytes"] == 0
    measured = "bootseer_hot_measured_bytes"
    wait_for(lambda: numbers(node)[measured] > 0, "the measurement", seconds=60)
    found = numbers(node)
    share = found["bootseer_hot_unused_bytes"] / found[measured]
    assert share < 0.05 if used else share > 0.5
    told = node.daemon.status()["hot"]["images"][0]
    assert told["blocks_unused"] * 4096 == found["bootseer_hot_unused_bytes"]


def test_counters_do_not_go_down_when_layers_are_removed(node: Whole, image: SmallImage) -> None:
    node.pull(image.reference)
    node.run(image.reference, "sha256sum", image.big)
    before = numbers(node)
    node.remove(image.reference)
    wait_for(lambda: not node.daemon.status()["layers"], "layers to be closed")
    after = counters(numbers(node))
    assert not [name for name, value in after.items() if value < before[name]]
    assert after['bootseer_read_bytes_total{area="layer",source="demand"}'] > 0


def test_the_same_is_served_over_tcp_and_nothing_but_that(node: Whole) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        names = {line.split("{")[0].split(" ")[0] for line in answer.read().decode().splitlines()}
    assert {name.split("{")[0] for name in numbers(node)} == names - {"#"}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/status", timeout=10)
