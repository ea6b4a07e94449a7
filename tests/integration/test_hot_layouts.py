"""Where hot blocks are read from: areas of their own, or in place, as the configuration says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_image import layout_of_two_layers

from benchmarks.lab import demo, hotblocks, starts
from benchmarks.lab.netns import Network, network
from benchmarks.lab.registry import Registry, registry
from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers
COMMAND = ("sh", "-c", "cat /data/*/* | wc -c")


class Recorded:
    """A registry with an image, one start of which was recorded."""

    def __init__(self, work: Path, net: Network, hub: Registry) -> None:
        self._work, self._net, self._hub = work, net, hub
        job = demo.Job(layout_of_two_layers(work), "small", COMMAND)
        self._reference = demo.publish(job, net, hub.host)
        with starts.fresh_node(net, work / "first", hub.host) as node:
            self.output = self._start(node)
            hotblocks.end_recordings(node)

    def _start(self, node: starts.Node) -> list[str]:
        reference = self._reference
        return starts.start(node, self._net, self._hub, reference, starts.LAZY, COMMAND).output

    def start(self, name: str, settings: str) -> dict[str, Any]:
        """Start it on a new node; return what that says of it afterwards."""
        with starts.fresh_node(self._net, self._work / name, self._hub.host, settings) as node:
            assert self._start(node) == self.output
            status = starts.status(node)
            return {"mounted": status["mounted"], **status["hot"]["images"][0]}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with work_directory() as work, network(None) as net, registry(net, work / "r") as hub:
        yield Recorded(work, net, hub)


@pytest.mark.parametrize("settings", ["", "hot:\n  layout: natural\n"])
def test_hot_blocks_that_no_pack_brings_are_read_in_place_or_as_the_configuration_says(
    recorded: Recorded, settings: str
) -> None:
    hot = recorded.start("hot", "hot:\n  layout: hot\n")
    natural = recorded.start("natural", settings)
    assert hot["source"] == natural["source"]
    assert hot["source"].startswith("record:")
    assert any(".h" in mount for mount in hot["mounted"])
    assert not any("." in mount.removesuffix(".b") for mount in natural["mounted"])
    assert hot["blocks"] > 0 == natural["blocks"]
    assert natural["failure"] == hot["failure"] == ""
    assert natural["feed"]["seconds"] > 0, "nothing was prefetched"
