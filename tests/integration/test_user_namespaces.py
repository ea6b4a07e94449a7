"""Containers in user namespaces of their own, over lazy layers: idmapped, not copied."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_image import SmallImage, indexed_image
from whole import PLUGIN, Whole, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError

pytestmark = pytest.mark.containers

MAPPING = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"]
FILE = "/data/1/file-1"
LOOK = "cat /proc/self/uid_map; stat -c '%u:%g %a' /etc/greeting /; echo x > /new; sha256sum {}"


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, "fill:\n  rate: 0\n") as made:
        directory.chmod(0o711)  # runc goes to the root file system as the container's root
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    made = indexed_image(node)
    node.pull(made.reference)
    return made


def run(node: Whole, image: SmallImage, *options: str) -> str:
    """Run a container that looks at ids and reads a file; return what it says."""
    name = f"userns{len(options)}"
    script = LOOK.format(FILE)
    argv = ["run", "--rm", "--snapshotter", PLUGIN, *options, image.reference, name]
    return node.containerd.ctr(*argv, "/bin/sh", "-c", script, seconds=120)


def test_layers_are_idmapped_and_stay_lazy(node: Whole, image: SmallImage) -> None:
    before = node.registry.bytes_of(image.layers[1])
    said = run(node, image, *MAPPING, "--remap-labels")
    assert re.search(r"^\s*0\s+100000\s+65536$", said, re.MULTILINE), said
    assert said.count("0:0 ") == 2
    assert image.contents[FILE] in said
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4


def test_what_the_container_writes_belongs_to_its_root_on_the_host(
    node: Whole, image: SmallImage
) -> None:
    node.containerd.ctr(
        *("run", "-d", "--snapshotter", PLUGIN, *MAPPING, "--remap-labels"),
        *(image.reference, "writer", "/bin/sh", "-c", "echo x > /own; sleep 600"),
    )

    def written() -> list[Path]:
        found = node.daemon.root.glob("snapshots/*/fs/own")
        return [path for path in found if path.parts[-3].isdecimal()]

    wait_for(written, "the container to write")
    assert [(path.stat().st_uid, path.stat().st_gid) for path in written()] == [(100_000, 200_000)]


def test_a_mapping_that_is_none_is_refused_with_a_clear_line(
    node: Whole, image: SmallImage
) -> None:
    labels = [f"containerd.io/snapshot/{kind}mapping=5:100000:10" for kind in ("uid", "gid")]
    options = [word for label in labels for word in ("--snapshotter-label", label)]
    with pytest.raises(HostError, match="its root is nobody on this host"):
        run(node, image, *options)
