"""What a reboot leaves: mounts gone, state kept; and its opposite, state gone, mounts kept."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from trouble_image import SUMS, TroubleImage, publish_indexes, trouble_image
from whole import Whole, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer import kernel

pytestmark = pytest.mark.containers


@pytest.fixture
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory) as made:
        yield made


def lazily(node: Whole, name: str) -> TroubleImage:
    image = trouble_image(node, name)
    publish_indexes(node, image)
    node.pull(image.reference)
    return image


def stop_at_once(node: Whole) -> None:
    """Stop everything as a power cut would."""
    node.containerd.running.kill()
    server = Path(f"/proc/{node.daemon.server_pid()}")
    node.daemon.keeper.kill()
    wait_for(lambda: not server.exists(), "the server to follow")


def start_again(node: Whole) -> None:
    before = node.daemon.log().count("daemon.serving")
    node.daemon.keeper.start_again()
    node.containerd.running.start_again()
    wait_for(lambda: node.daemon.log().count("daemon.serving") > before, "the daemon", 60)
    node.wait_connected()


def unmount_all(root: Path) -> None:
    for point in kernel.mounts_below(root):
        subprocess.run(["umount", "-l", point], check=True)


def test_after_a_reboot_everything_is_mounted_again_and_nothing_is_fetched_twice(
    node: Whole,
) -> None:
    whole_image, part = lazily(node, "whole"), lazily(node, "part")
    assert node.run(whole_image.reference, "sh", "-c", SUMS) == whole_image.sums
    assert node.run(part.reference, "sh", "-c", "sha256sum /data/one")
    wait_for(lambda: node.daemon.log().count("layer.verified") >= 1, "a layer to be whole")
    stop_at_once(node)
    unmount_all(node.daemon.root)
    fetched = node.registry.bytes_of(whole_image.layers[1])
    start_again(node)
    for image in (whole_image, part):
        assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    assert node.registry.bytes_of(whole_image.layers[1]) == fetched


def test_when_the_state_is_gone_dead_mounts_go_and_images_are_pulled_again(node: Whole) -> None:
    image = lazily(node, "lost")
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    mounted = 1 + len(image.layers)
    wait_for(lambda: len(node.daemon.mounts()) == mounted, "those of the recording to go")
    stop_at_once(node)
    for path in node.daemon.root.iterdir():
        if path.name not in ("blocks", "l"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in node.daemon.root.glob("l/*/*"):
        if path.is_file():
            path.unlink()
    assert len(node.daemon.mounts()) == mounted
    start_again(node)
    assert len(node.daemon.mounts()) == 1
    node.remove(image.reference)
    node.pull(image.reference)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
