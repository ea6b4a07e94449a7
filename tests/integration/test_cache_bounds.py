"""The cache of a node: bounded, kept for later, evicted under running containers, scrubbed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from layer_reader import data_tree, layer_reader, right
from trouble_image import SUMS, TroubleImage, publish_indexes, trouble_image
from whole import Whole, bootseer, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer.cli.control import fetch
from bootseer.errors import CorruptError

pytestmark = pytest.mark.containers

UNFILLED = "fill: {rate: 0}\nhot: {record: never, prefetch: false}\n"
SIZE = 16 << 20
MEASURED_S = 120.0
"""The cache is measured for a fiftieth of the processor's time."""


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    """A node whose cache has no bounds."""
    with work_directory() as directory, whole(directory, UNFILLED) as made:
        yield made


@pytest.fixture(scope="module")
def small_node() -> Iterator[Whole]:
    """A node whose cache holds less than the images of these tests."""
    cache = {"size": SIZE}
    with work_directory() as directory, whole(directory, UNFILLED, cache=cache) as made:
        yield made


def cached(node: Whole) -> dict[str, dict[str, Any]]:
    """Return what is in the cache, by layer digest."""
    found = fetch(node.daemon.control, "/v1/cache")
    return {layer["digest"]: layer for layer in found["layers"]}


def size_of(node: Whole) -> int:
    return sum(layer["bytes"] for layer in cached(node).values())


def lazily(node: Whole, name: str, megabytes: int = 2) -> TroubleImage:
    image = trouble_image(node, name, megabytes=megabytes)
    publish_indexes(node, image)
    node.pull(image.reference)
    return image


def drop_caches() -> None:
    Path("/proc/sys/vm/drop_caches").write_text("1")


def remove(node: Whole, image: TroubleImage) -> None:
    """Remove an image, and wait until nothing holds its data layer."""
    node.remove(image.reference)
    layer = image.layers[1]
    wait_for(lambda: cached(node).get(layer, {}).get("hold", "unused") == "unused", "its release")


def verify(node: Whole) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of `bootseer cache verify`, and what it found of each layer."""
    argv = [sys.executable, "-m", "bootseer", "cache", "verify", "--json"]
    done = subprocess.run(
        [*argv, "--config", str(node.daemon.config)], capture_output=True, text=True, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def damage(node: Whole, layer: str) -> None:
    """Flip bytes of a layer's data as a failing disk would."""
    data = node.daemon.root / "l" / cached(node)[layer]["name"] / "data"
    with data.open("r+b") as file:
        file.seek(70_000)
        file.write(b"bits that rotted")


def test_layers_that_nothing_needs_are_kept_over_a_restart_and_used_again(node: Whole) -> None:
    image = lazily(node, "kept")
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    remove(node, image)
    used = cached(node)[image.layers[1]]["used"]
    node.kill_server()
    assert cached(node)[image.layers[1]]["used"] == used
    fetched = node.registry.bytes_of(image.layers[1])
    node.pull(image.reference)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    assert node.registry.bytes_of(image.layers[1]) == fetched
    assert cached(node)[image.layers[1]]["used"] > used


def test_gc_removes_what_nothing_needs_and_nothing_else(node: Whole) -> None:
    gone, stays = lazily(node, "gone"), lazily(node, "stays")
    remove(node, gone)
    config = str(node.daemon.config)
    would = json.loads(bootseer("gc", "--dry-run", "--json", "--config", config))
    names = [layer["name"] for layer in would["layers"]]
    assert cached(node)[gone.layers[1]]["name"] in names
    listed = json.loads(bootseer("cache", "ls", "--config", config, "--json"))["layers"]
    assert {layer["digest"]: layer for layer in listed} == cached(node)

    def collected() -> bool:
        bootseer("gc", "--config", config)
        return gone.layers[1] not in cached(node)

    wait_for(collected, "the layer to be idle for long enough")
    assert stays.layers[1] in cached(node)
    assert node.run(stays.reference, "sh", "-c", SUMS) == stays.sums
    node.pull(gone.reference)
    assert node.run(gone.reference, "sh", "-c", SUMS) == gone.sums


def test_what_the_disk_damaged_is_found_and_fetched_again_where_it_is_used(node: Whole) -> None:
    image = lazily(node, "rotten")
    assert node.run(image.reference, "sh", "-c", "cat /data/big > /dev/null; ls /data")
    assert verify(node)[0] == 0
    damage(node, image.layers[1])
    code, found = verify(node)
    assert code == CorruptError.exit_code
    bad = {layer["digest"]: layer for layer in found if layer["wrong_chunks"]}
    assert bad.keys() == {image.layers[1]}
    assert bad[image.layers[1]]["outcome"] == "fetched"
    assert verify(node)[0] == 0
    drop_caches()
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums


def test_what_the_disk_damaged_of_an_unused_layer_is_dropped(node: Whole) -> None:
    image = lazily(node, "unused-rotten")
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    remove(node, image)
    damage(node, image.layers[1])
    code, found = verify(node)
    assert code == CorruptError.exit_code
    assert [one["outcome"] for one in found if one["wrong_chunks"]] == ["dropped"]
    node.pull(image.reference)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums


def test_a_layer_that_is_whole_is_read_past_the_server_from_the_next_mount_on(node: Whole) -> None:
    image = lazily(node, "whole")
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    wait_for(lambda: cached(node)[image.layers[1]]["hold"] == "pinned", "the layer to be whole")
    remove(node, image)
    node.pull(image.reference)
    drop_caches()
    before = node.daemon.status()["reads"]["layers"]["reads"]
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    assert node.daemon.status()["reads"]["layers"]["reads"] == before


def test_the_bound_holds_while_images_come_and_go_and_the_oldest_goes_first(
    small_node: Whole,
) -> None:
    node = small_node
    images = []
    for number in range(5):
        image = lazily(node, f"row{number}", megabytes=3)
        assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
        remove(node, image)
        images.append(image)
    wait_for(lambda: size_of(node) <= SIZE, "the bound to be kept", MEASURED_S)
    left = [number for number, image in enumerate(images) if image.layers[1] in cached(node)]
    assert left == list(range(5 - len(left), 5)), "the least recently used went first"
    assert left


def test_under_a_reader_chunks_are_evicted_and_every_read_is_right(small_node: Whole) -> None:
    node = small_node
    image = lazily(node, "large", megabytes=24)
    with layer_reader(data_tree(node.daemon, image)) as reader:
        for number in range(3):
            drop_caches()
            assert reader.read() == [right(image)]
            wait_for(lambda: size_of(node) <= SIZE, "the bound to be kept", MEASURED_S)
            if number == 1:
                node.daemon.kill_server()
    assert cached(node)[image.layers[1]]["hold"] == "mounted"
    assert "cache.evicted" in node.daemon.log()
    assert "block.io_error" not in node.daemon.log()
