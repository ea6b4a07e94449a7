"""Parts of `scripts/bench hot` with everything real but the image, which is small here."""

from collections.abc import Iterator

import pytest
from small_image import layout_of_two_layers

from benchmarks import hot
from benchmarks.lab import demo, hotblocks
from benchmarks.lab.netns import network
from benchmarks.lab.registry import registry
from benchmarks.lab.workdir import work_directory
from benchmarks.measure import hot_layouts, hot_record
from benchmarks.measure.hot_place import Place

pytestmark = pytest.mark.containers
COMMAND = ("sh", "-c", "cat /data/*/* | wc -c")


@pytest.fixture
def place() -> Iterator[Place]:
    with work_directory() as work, network(None) as net, registry(net, work / "r") as hub:
        job = demo.Job(layout_of_two_layers(work), "small", COMMAND)
        demo.publish(job, net, hub.host)
        yield Place(work, net, hub, "demo:latest", COMMAND, 1)


def test_two_starts_touch_the_same_and_every_layout_is_measured(place: Place) -> None:
    published = hot.record_and_pack(place)
    pack = hot_record.read_pack(hotblocks.pack_file(place.server, published))
    record, store = hot_record.record_a_start(place, published.manifest_digest)
    found = {figure.name: figure for figure in hot_record.figures(pack, record)}
    assert found["prefetched and not used by a second, identical run"].met
    assert found["hot blocks"].value == len(pack.blocks) > 0
    assert pack.compressed > 0
    costs = {one.name: one.value for one in hot_layouts.measure_layouts(place, store)}
    assert all(value is not None and value > 0 for value in costs.values())
    assert not list(place.directory.glob("n*")), "nodes are removed"
