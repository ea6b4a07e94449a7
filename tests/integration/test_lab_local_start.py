"""The laboratory's node that has all of an image, whose starts are the least possible time."""

import pytest
from small_image import layout_of_two_layers

from benchmarks.lab import demo, starts
from benchmarks.lab.netns import network
from benchmarks.lab.registry import registry
from benchmarks.lab.workdir import work_directory
from benchmarks.measure import local_start

pytestmark = pytest.mark.containers
COMMAND = ("sh", "-c", "cat /data/*/* | wc -c")


def test_node_that_has_everything_starts_containers_without_asking_anybody() -> None:
    with work_directory() as work, network(None) as net:
        job = demo.Job(layout_of_two_layers(work), "small", COMMAND)
        with registry(net, work / "r") as hub:
            reference = demo.publish(job, net, hub.host)
            with local_start.local_node(net, work / "n", hub.host, reference) as node:
                hub.running.stop()
                for snapshotter in (starts.LAZY, starts.EAGER):
                    assert local_start.seconds(node, reference, snapshotter, COMMAND) > 0
                layers = starts.status(node)["layers"]
                assert not any(layer["reads"] for layer in layers), "the server still serves them"
