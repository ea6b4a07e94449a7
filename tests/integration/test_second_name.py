"""A second name for the plugin, as docs/clients.md gives nerdctl one: lazy, and apart."""

from collections.abc import Iterator

import pytest
from aliased import ALIAS, alias
from small_image import SmallImage, indexed_image
from whole import PLUGIN, Whole, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with (
        work_directory() as directory,
        whole(directory, "fill:\n  rate: 0\n", more=alias(directory)) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    return indexed_image(node)


def test_both_names_are_lazy_share_layers_and_do_not_remove_each_others(
    node: Whole, image: SmallImage
) -> None:
    before = node.registry.bytes_of(image.layers[1])
    for name in (PLUGIN, ALIAS):
        node.containerd.pull(image.reference, snapshotter=name)
    assert node.registry.bytes_of(image.layers[1]) == before
    assert len(list((node.daemon.root / "l").iterdir())) == len(image.layers)
    command = node.containerd.run_command(
        image.reference, "aliased", "/bin/sha256sum", "/data/1/file-1", snapshotter=ALIAS
    )
    said = node.containerd.ctr(*command[command.index("run") :])
    assert image.contents["/data/1/file-1"] in said
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4
    node.remove(image.reference)
    for name in (PLUGIN, ALIAS):
        listed = node.containerd.ctr("snapshots", "--snapshotter", name, "ls")
        assert len(listed.splitlines()) == 1, listed
