"""containerd 1.6 and 1.7: lazy pulls by the CRI, and by `bootseer image pull`."""

from collections.abc import Iterator

import grpc
import pytest
from pods import cri_of, pull, push_pause, run_pod
from small_image import SmallImage, indexed_image
from whole import Whole, bootseer, whole

from benchmarks.lab.generations import SUITES
from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module", params=sorted(SUITES))
def node(request: pytest.FixtureRequest) -> Iterator[Whole]:
    with (
        work_directory() as directory,
        whole(
            directory, "fill:\n  rate: 0\n", sandbox="pause:latest", generation=request.param
        ) as made,
    ):
        push_pause(made)
        assert f" {request.param}." in made.containerd.ctr("version")
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    return indexed_image(node)


@pytest.fixture(scope="module")
def channel(node: Whole) -> Iterator[grpc.Channel]:
    with cri_of(node) as made:
        yield made


def fetched(node: Whole, image: SmallImage) -> int:
    return node.registry.bytes_of(image.layers[1])


def test_an_image_is_pulled_lazily_where_ctr_cannot(node: Whole, image: SmallImage) -> None:
    before = fetched(node, image)
    where = ["--address", str(node.containerd.socket), "--namespace", node.containerd.namespace]
    argv = ["image", "pull", image.reference, *where, "--config", str(node.daemon.config)]
    assert "3 layers are served" in bootseer(*argv)
    assert fetched(node, image) == before
    said = node.run(image.reference, "sha256sum", "/data/1/file-1")
    assert image.contents["/data/1/file-1"] in said
    assert fetched(node, image) - before < image.sizes[1] // 4
    bootseer(*argv)  # again: everything is there
    node.remove(image.reference)
    listed = node.containerd.ctr("snapshots", "--snapshotter", "bootseer", "ls")
    assert len(listed.splitlines()) == 1, listed


def test_a_pod_runs_from_an_image_that_was_pulled_lazily(
    node: Whole, channel: grpc.Channel, image: SmallImage
) -> None:
    before = fetched(node, image)
    pulled = pull(channel, image)
    said = run_pod(node, channel, pulled, "job", ["/bin/sha256sum", "/data/1/file-1"])
    assert image.contents["/data/1/file-1"] in said
    assert fetched(node, image) - before < image.sizes[1] // 4
