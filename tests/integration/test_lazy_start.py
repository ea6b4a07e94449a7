"""Containers from images that were never pulled: the main path, on the real components."""

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_image import SmallImage, small_image
from whole import Whole, bootseer, bootseer_daemon, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError
from bootseer.events.event import Phase
from bootseer.events.reading import read_events

pytestmark = pytest.mark.containers

CHECK_ALL = "find /data -type f | sort | xargs sha256sum"


@pytest.fixture
def node() -> Iterator[Whole]:
    with work_directory() as directory:
        events = directory / "events.jsonl"
        with whole(directory, f"events: {{path: {events}}}\n") as made:
            yield made


@pytest.fixture
def plain(node: Whole) -> SmallImage:
    """An image without an index."""
    return small_image(node.directory / "image", node.registry.host)


@pytest.fixture
def image(node: Whole, plain: SmallImage) -> SmallImage:
    """An image with its index published."""
    index(node, plain)
    return plain


def index(node: Whole, image: SmallImage) -> None:
    config = ["--config", str(node.daemon.config)]
    bootseer("image", "index", image.reference, *config)


def checked(output: str) -> dict[str, str]:
    """Parse what `CHECK_ALL` prints."""
    return {path: digest for digest, path in (line.split() for line in output.splitlines())}


def test_a_container_starts_from_an_image_most_of_which_was_never_fetched(
    node: Whole, image: SmallImage
) -> None:
    before = node.registry.bytes_of(image.layers[1])
    node.pull(image.reference)
    assert node.run(image.reference) == "hello\n"
    fetched = node.registry.bytes_of(image.layers[1]) - before
    assert fetched < image.sizes[1] // 10
    assert all(layer["poisoned"] == "" for layer in node.daemon.status()["layers"])
    told = read_events([node.directory / "events.jsonl"]).events
    asked = [one for one in told if one.stage == "image.layer" and one.phase is Phase.BEGIN]
    assert {one.attributes["layer"] for one in asked} == set(image.layers)
    ends = {one.identity: one for one in told if one.phase is Phase.END}
    assert all(ends[one.identity].attributes == {"lazy": True} for one in asked)
    (start,) = (one for one in ends.values() if one.stage == "image.start")
    assert start.attributes["course"] == "record"
    assert "image.prefetch" in {one.stage for one in told}


def test_events_tell_when_containers_were_created_and_started(
    node: Whole, image: SmallImage
) -> None:
    node.pull(image.reference)

    def started() -> bool:
        node.run(image.reference, "sh", "-c", ":")  # the first may come before we listen
        told = read_events([node.directory / "events.jsonl"]).events
        return "container.start" in {one.stage for one in told if one.phase is Phase.END}

    wait_for(started, "a container's events")
    told = read_events([node.directory / "events.jsonl"]).events
    of_containers = [one for one in told if one.stage.startswith("container.")]
    assert all(one.attributes["namespace"] for one in of_containers if one.phase is Phase.BEGIN)
    created = [one for one in of_containers if one.stage == "container.create"]
    assert created[0].attributes["image"] == image.reference
    assert [one.phase for one in created[:2]] == [Phase.BEGIN, Phase.END]


def test_every_file_reads_as_it_was_built(node: Whole, image: SmallImage) -> None:
    node.pull(image.reference)
    assert checked(node.run(image.reference, "sh", "-c", CHECK_ALL)) == image.contents


def test_a_server_killed_again_and_again_goes_unnoticed_by_the_container(
    node: Whole, image: SmallImage
) -> None:
    node.pull(image.reference)
    # Little is printed: the shim throws away output that nobody took for ten seconds after the end.
    slow = f"echo begun; for i in 1 2 3 4 5 6; do {CHECK_ALL} > /tmp/$i; done; sha256sum /tmp/?"
    with node.start(image.reference, "sh", "-c", slow) as running:
        assert running.stdout is not None
        assert any(line == "begun\n" for line in running.stdout)
        with ThreadPoolExecutor(1) as meanwhile:
            reading = meanwhile.submit(running.stdout.read)
            for _ in range(3):
                node.daemon.kill_server()
                Path("/proc/sys/vm/drop_caches").write_text("1")
            output = reading.result()
    assert running.returncode == 0, output
    listed = "".join(f"{digest}  {path}\n" for path, digest in sorted(image.contents.items()))
    found = checked(output)
    assert sorted(found) == [f"/tmp/{run}" for run in range(1, 7)], node.daemon.log()[-6000:]
    assert set(found.values()) == {hashlib.sha256(listed.encode()).hexdigest()}


def test_a_layer_without_an_index_is_unpacked_by_us_and_only_once(
    node: Whole, plain: SmallImage
) -> None:
    node.pull(plain.reference)
    assert checked(node.run(plain.reference, "sh", "-c", CHECK_ALL)) == plain.contents
    for digest, size in zip(plain.layers, plain.sizes, strict=True):
        assert node.registry.bytes_of(digest) <= size, "containerd fetched it too"


def test_removing_the_image_leaves_nothing_mounted_and_its_layers_in_the_cache(
    node: Whole, image: SmallImage
) -> None:
    node.pull(image.reference)
    node.run(image.reference)
    wait_for(lambda: len(node.daemon.mounts()) == 1 + len(image.layers), "the recording's to go")
    node.remove(image.reference)
    wait_for(lambda: len(node.daemon.mounts()) == 1, "layers to be unmounted")
    wait_for(lambda: not node.daemon.status()["layers"], "layers to be closed")
    assert len(list((node.daemon.root / "l").iterdir())) >= len(image.layers)
    fetched = [node.registry.bytes_of(digest) for digest in image.layers]
    node.pull(image.reference)
    assert node.run(image.reference) == "hello\n"
    assert [node.registry.bytes_of(digest) for digest in image.layers] == fetched


def test_wrong_bytes_are_an_io_error_and_a_line_that_names_layer_and_offset(
    node: Whole, image: SmallImage
) -> None:
    blob = node.registry.blob_file(image.layers[1])
    node.pull(image.reference)
    good = blob.read_bytes()
    middle = len(good) // 4
    blob.write_bytes(good[:middle] + bytes(b ^ 0xFF for b in good[middle:-middle]) + good[-middle:])
    with pytest.raises(HostError, match=r"(?i)i/o error|input/output error"):
        node.run(image.reference, "sha256sum", image.big)
    said = [line for line in node.daemon.log().splitlines() if "chunk.unreadable" in line]
    assert any(re.search(rf"layer={image.layers[1]} .*offset=\d+", line) for line in said)
    assert node.run(image.reference) == "hello\n", "the daemon serves all else"
    blob.write_bytes(good)
    wait_for(lambda: _sums(node, image.big) == image.contents[image.big], "the file to read again")


def _sums(node: Whole, path: str) -> str:
    try:
        reference = node.containerd.ctr("images", "ls", "-q").split()[0]
        return node.run(reference, "sha256sum", path).split()[0]
    except HostError:
        return ""


def test_a_registry_that_is_down_is_an_io_error_and_reads_go_on_when_it_is_back(
    node: Whole, image: SmallImage
) -> None:
    node.pull(image.reference)
    node.run(image.reference)
    node.registry.running.process.send_signal(19)  # SIGSTOP: it accepts and says nothing
    try:
        assert node.run(image.reference) == "hello\n", "what is local needs no registry"
    finally:
        node.registry.running.process.send_signal(18)
    assert checked(node.run(image.reference, "sh", "-c", CHECK_ALL)) == image.contents


def test_concurrent_containers_fetch_each_chunk_once(node: Whole, image: SmallImage) -> None:
    before = node.registry.bytes_of(image.layers[1])
    node.pull(image.reference)
    outputs: list[str] = []

    def one() -> None:
        outputs.append(node.run(image.reference, "sh", "-c", CHECK_ALL))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [checked(output) == image.contents for output in outputs] == [True] * 4
    fetched = node.registry.bytes_of(image.layers[1]) - before
    assert fetched < 1.05 * image.sizes[1]


def test_a_layer_that_came_in_whole_is_checked_against_its_digest_and_then_local(
    node: Whole, image: SmallImage
) -> None:
    node.pull(image.reference)
    node.run(image.reference, "sh", "-c", CHECK_ALL)
    wait_for(
        lambda: f"layer.verified layer={image.layers[1]}" in node.daemon.log(),
        "the check of the whole layer",
    )
    layers = {layer["digest"]: layer for layer in node.daemon.status()["layers"]}
    assert layers[image.layers[1]]["verified"]


def test_after_a_reboot_what_containerd_knows_is_mounted_again() -> None:
    with work_directory() as directory, whole(directory) as node:
        image = small_image(directory / "image", node.registry.host)
        index(node, image)
        node.pull(image.reference)
        node.run(image.reference)
        node.daemon.keeper.stop()
        for path in node.daemon.mounts():
            subprocess.run(["umount", "-l", path], check=True)
        with bootseer_daemon(directory / "b"):
            node.wait_connected()
            assert checked(node.run(image.reference, "sh", "-c", CHECK_ALL)) == image.contents


def test_a_config_with_an_unknown_key_is_refused_with_its_name(tmp_path: Path) -> None:
    config = tmp_path / "bootseer.yaml"
    config.write_text(f"root: {tmp_path}\nsnapshoter:\n  name: x\n")
    command = ["-m", "bootseer", "snapshotter", "serve", "--config", str(config)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "snapshoter" in done.stderr
    assert "snapshotter" in done.stderr


def test_layers_can_be_mounted_over_loop_devices() -> None:
    with (
        work_directory() as directory,
        whole(directory, "snapshotter:\n  mount: loop\n") as node,
    ):
        image = small_image(directory / "image", node.registry.host)
        index(node, image)
        node.pull(image.reference)
        loops = Path("/proc/self/mountinfo").read_text()
        assert f"{node.daemon.root}/l/" in loops
        assert re.search(rf"{node.daemon.root}/l/\S+ .* erofs /dev/loop", loops)
        assert checked(node.run(image.reference, "sh", "-c", CHECK_ALL)) == image.contents
