"""Published indexes that are damaged, misplaced, or lie: containers see the layer's own truth."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_image import manifest_digest
from trouble_image import (
    MODES,
    SAME,
    SUMS,
    TroubleImage,
    new_directories,
    other_mode,
    publish_indexes,
    swapped_files,
    trouble_image,
)
from whole import Whole, bootseer, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError
from snapshotter.layers.records import LayerIndex

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory) as made:
        yield made


def lines(node: Whole, event: str, *having: str) -> list[str]:
    """Return the daemon's log lines of an event that mention something."""
    every = node.daemon.log().splitlines()
    return [line for line in every if event in line and all(word in line for word in having)]


def how(node: Whole, layer: str) -> list[str]:
    """Return how a layer came to be provided, each time."""
    found = (re.search(r" how=(\w+)", line) for line in lines(node, "layer.provided", layer))
    return [match[1] for match in found if match]


def assert_unpacked(node: Whole, image: TroubleImage) -> None:
    """Pull, and see that the data layer came from its own bytes and not through its index."""
    node.pull(image.reference)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    assert how(node, image.layers[1]) == ["unpacked"]
    assert how(node, image.layers[0])[0] in ("lazy", "cached"), "the other layer's index is good"
    assert new_directories(node.daemon.root) == []


def flip(data: bytes) -> bytes:
    """Flip a bit in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_an_index_that_was_cut_short_is_not_used(node: Whole) -> None:
    image = trouble_image(node, "cut")
    index = publish_indexes(node, image, lambda data: data[: len(data) // 2])
    assert_unpacked(node, image)
    assert len(lines(node, "index.refused", index.digest, "reason=")) == 1


def test_an_index_with_a_flipped_bit_is_not_used(node: Whole) -> None:
    image = trouble_image(node, "flipped")
    index = publish_indexes(node, image, flip)
    assert_unpacked(node, image)
    assert len(lines(node, "index.refused", index.digest, "reason=")) == 1


def test_an_index_that_the_registry_damaged_is_not_used(node: Whole) -> None:
    image = trouble_image(node, "damaged")
    index = publish_indexes(node, image)
    blob = node.registry.blob_file(index.digest)
    blob.write_bytes(flip(blob.read_bytes()))
    assert_unpacked(node, image)
    assert len(lines(node, "index.refused", index.digest, "reason=")) == 1


def test_an_index_of_which_the_registry_lost_a_part_is_not_used(node: Whole) -> None:
    image = trouble_image(node, "lost")
    index = publish_indexes(node, image)
    blob = node.registry.blob_file(index.digest)
    blob.write_bytes(blob.read_bytes()[:-100])
    assert_unpacked(node, image)
    assert len(lines(node, "index.refused", index.digest, "reason=")) == 1


def test_an_index_that_the_registry_lost_is_not_missed(node: Whole) -> None:
    image = trouble_image(node, "gone")
    index = publish_indexes(node, image)
    node.registry.blob_file(index.digest).unlink()
    assert_unpacked(node, image)
    assert len(lines(node, "index.refused", index.digest, "reason=")) == 1


def test_an_index_of_another_layer_is_not_used(node: Whole) -> None:
    image = trouble_image(node, "strange")
    index = publish_indexes(node, image, of_layer=0)
    assert_unpacked(node, image)
    assert len(lines(node, "index.refused", index.digest, image.layers[0])) == 1


def test_an_artifact_that_names_another_image_is_not_used(node: Whole) -> None:
    other = trouble_image(node, "other")
    image = trouble_image(node, "listed")
    publish_indexes(node, image, subject=manifest_digest(other.reference))
    node.pull(image.reference)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    assert how(node, image.layers[1]) == ["unpacked"]
    own = manifest_digest(image.reference)
    assert len(lines(node, "index.artifact.unusable", own, "it is not of image")) == 1


@pytest.mark.parametrize("lie", [other_mode, swapped_files])
def test_an_index_that_lies_is_caught_once_the_layer_came_in_and_never_used_again(
    node: Whole, lie: Callable[[LayerIndex], LayerIndex]
) -> None:
    image = trouble_image(node, lie.__name__.replace("_", "-"))
    index = publish_indexes(node, image, lie=lie)
    look = f"{MODES}; {SUMS}; cat /data/{SAME[0]} | sha256sum"
    node.pull(image.reference)
    lied = node.run(image.reference, "sh", "-c", look)
    assert how(node, image.layers[1]) == ["lazy"]
    wait_for(lambda: lines(node, "index.lies", index.digest), "the lie to be found")
    assert "POISONED" in bootseer("status", "--config", str(node.daemon.config))
    states = {layer["digest"]: layer["poisoned"] for layer in node.daemon.status()["layers"]}
    assert "lies" in states[image.layers[1]]

    node.remove(image.reference)
    wait_for(lambda: image.layers[1] not in _served(node), "the layer to be removed")
    node.kill_server()
    node.pull(image.reference)
    true = node.run(image.reference, "sh", "-c", look)
    assert true != lied
    assert true.startswith(f"644 /data/big\n644 /data/{SAME[0]}\n644 /data/{SAME[1]}\n{image.sums}")
    assert how(node, image.layers[1])[1:] == ["unpacked"]
    assert lines(node, "index.refused", index.digest, "caught lying")


def test_containers_of_a_lying_index_read_nothing_more_of_it(node: Whole) -> None:
    image = trouble_image(node, "still-running")
    index = publish_indexes(node, image, lie=other_mode)
    node.pull(image.reference)
    node.run(image.reference, "sh", "-c", SUMS)
    wait_for(lambda: lines(node, "index.lies", index.digest), "the lie to be found")
    wait_for(lambda: _fails(node, image), "reads to fail")


def _fails(node: Whole, image: TroubleImage) -> bool:
    Path("/proc/sys/vm/drop_caches").write_text("1")
    try:
        node.run(image.reference, "sh", "-c", "set -e; cat /data/big > /dev/null")
    except HostError as error:
        # from what runs; what would start now is not even given the layer
        return "error" in str(error).lower() or "its index lies" in str(error)
    return False


def _served(node: Whole) -> set[str]:
    return {layer["digest"] for layer in node.daemon.status()["layers"]}
