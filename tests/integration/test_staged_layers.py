"""containerd 2.4's staged layers: mounted by us, committed by containerd; also in parallel."""

from collections.abc import Iterator

import pytest
from small_image import SmallImage, indexed_image
from whole import Whole, wait_for, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    settings = "snapshotter:\n  staged: true\nfill:\n  rate: 0\n"
    with work_directory() as directory, whole(directory, settings) as made:
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    return indexed_image(node)


def test_staged_layers_are_lazy_and_are_removed_with_the_image(
    node: Whole, image: SmallImage
) -> None:
    before = node.registry.bytes_of(image.layers[1])
    node.pull(image.reference)
    assert node.registry.bytes_of(image.layers[1]) == before
    said = node.run(image.reference, "sha256sum", "/data/1/file-1")
    assert image.contents["/data/1/file-1"] in said
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4
    node.remove(image.reference)
    wait_for(
        lambda: not [path for path in node.daemon.mounts() if "/l/" in path],
        "the layers to be unmounted",
    )
