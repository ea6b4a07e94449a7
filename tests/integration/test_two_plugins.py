"""Two containerds on one server, under two plugin names: each has its own snapshots alone."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from containerd_fixture import HostNetwork, collect_garbage
from trouble_image import SUMS, publish_indexes, trouble_image
from whole import PLUGIN, Whole, whole

from benchmarks.lab.containerd import Containerd, ProxySnapshotter, containerd
from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers

OTHER = "bootseer-2"


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Whole, Containerd]]:
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        node = stack.enter_context(whole(directory))
        (directory / "c2").mkdir()
        proxy = ProxySnapshotter(OTHER, node.daemon.address, node.daemon.root)
        other = stack.enter_context(
            containerd(
                HostNetwork(), directory / "c2", registry_host=node.registry.host, proxy=proxy
            )
        )
        yield node, other


def snapshots(engine: Containerd, plugin: str) -> list[str]:
    return engine.ctr("snapshots", "--snapshotter", plugin, "ls").splitlines()[1:]


def test_one_containerds_garbage_collection_leaves_the_others_snapshots(
    nodes: tuple[Whole, Containerd],
) -> None:
    node, other = nodes
    image = trouble_image(node, "shared")
    publish_indexes(node, image)
    node.pull(image.reference)
    collect_garbage(other)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    before = node.registry.bytes_of(image.layers[1])
    other.pull(image.reference, snapshotter=OTHER)
    assert len(snapshots(other, OTHER)) == len(snapshots(node.containerd, PLUGIN)) == 2

    node.remove(image.reference)
    collect_garbage(node.containerd)
    assert snapshots(node.containerd, PLUGIN) == []
    argv = ["run", "--rm", "--snapshotter", OTHER, image.reference, "c", "sh", "-c", SUMS]
    assert other.ctr(*argv, seconds=120) == image.sums
    assert node.registry.bytes_of(image.layers[1]) == before, "one cache for both"

    other.ctr("images", "rm", "--sync", image.reference)
    assert snapshots(other, OTHER) == []
