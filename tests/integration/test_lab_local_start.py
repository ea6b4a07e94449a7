"""The laboratory's node that has all of an image, whose starts are the least possible time."""

from pathlib import Path

import pytest
from small_image import base_tree, data_tree

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout
from benchmarks.lab import demo, starts
from benchmarks.lab.netns import network
from benchmarks.lab.registry import registry
from benchmarks.lab.workdir import work_directory
from benchmarks.measure import local_start

pytestmark = pytest.mark.containers
COMMAND = ("sh", "-c", "cat /data/*/* | wc -c")


def image_of_two_layers(directory: Path) -> str:
    """Make an image; return how skopeo names it."""
    base = base_tree(directory / "base")
    data_tree(directory / "data", megabytes=2)
    layout = OciLayout(directory / "layout")
    for tree in (base, directory / "data"):
        layout.add_layer(tree.name, LayerTar(tree).write)
    config = {"Cmd": ["/bin/ls"], "Env": ["PATH=/bin"]}
    layout.finish(name="small", architecture="amd64", config=config, created="2026-01-01T00:00:00Z")
    return f"oci:{layout.root}:small"


def test_node_that_has_everything_starts_containers_without_asking_anybody() -> None:
    with work_directory() as work, network(None) as net:
        job = demo.Job(image_of_two_layers(work), "small", COMMAND)
        with registry(net, work / "r") as hub:
            reference = demo.publish(job, net, hub.host)
            with local_start.local_node(net, work / "n", hub.host, reference) as node:
                hub.running.stop()
                for snapshotter in (starts.LAZY, starts.EAGER):
                    assert local_start.seconds(node, reference, snapshotter, COMMAND) > 0
                layers = local_start.status(node)["layers"]
                assert not any(layer["reads"] for layer in layers), "the server still serves them"
