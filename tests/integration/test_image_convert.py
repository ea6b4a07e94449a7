"""`bootseer image convert` on the real components: what was unpacked in whole is lazy then."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from foreign_node import SETTINGS, how, pulled_wholly, push, read_wholly
from image_trees import mounted_image
from small_image import text
from tree_facts import differences
from whole import Whole, bootseer, whole

from benchmarks.lab.workdir import work_directory
from bootseer.cli.main import run
from tests.image_maker import MadeLayer, layer_of

pytestmark = pytest.mark.containers

FILES = {"small": b"small\n", "large": text(1, 2 << 20) * 35}
"""More than a chunk may have: as one frame it has no index of use."""


@dataclass(frozen=True)
class Converted:
    """An image, and what was made of it."""

    reference: str
    layers: tuple[MadeLayer, ...]
    new_reference: str
    told: dict[str, object]
    """By the command."""

    @property
    def new_layer(self) -> dict[str, object]:
        """What the command says of the layer that was converted."""
        layers = self.told["layers"]
        assert isinstance(layers, list)
        (found,) = (dict(layer) for layer in layers if layer["convert"])
        return found


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


def convert(node: Whole, *arguments: str) -> dict[str, object]:
    """Run the command."""
    config = ["--config", str(node.daemon.config)]
    return dict(json.loads(bootseer("image", "convert", *arguments, "--json", *config)))


@pytest.fixture(scope="module")
def image(node: Whole) -> Converted:
    layers = (layer_of({"base": b"base"}), layer_of(FILES, "zstd"))
    reference = push(node, "convert/one-frame", layers)
    new = f"{node.registry.host}/convert/frames:1"
    return Converted(reference, layers, new, convert(node, reference, new))


def log_lines(node: Whole, name: str, layer: MadeLayer) -> list[str]:
    every = node.daemon.log().splitlines()
    return [line for line in every if name in line and layer.digest in line]


def test_before_it_is_unpacked_in_whole_and_the_log_names_the_command(
    node: Whole, image: Converted
) -> None:
    node.pull(image.reference)
    layer = image.layers[1]
    assert how(node, layer) == ["unpacked"]
    (line,) = log_lines(node, "layer.not_lazy", layer)
    assert f"bootseer image convert {image.reference}" in line
    # The new image has the same chain of layers: what containerd has it does not ask for again.
    node.remove(image.reference)


def test_after_it_is_lazy_and_a_small_file_costs_less_than_the_layer(
    node: Whole, image: Converted
) -> None:
    digest, size = str(image.new_layer["new_digest"]), int(str(image.new_layer["new_size"]))
    before = node.registry.bytes_of(digest)
    node.pull(image.new_reference)
    provided = [line for line in node.daemon.log().splitlines() if "layer.provided" in line]
    ways = [re.search(r" how=(\w+)", line) for line in provided if digest in line]
    assert [way and way[1] for way in ways] == ["lazy"]
    with mounted_image(node, image.new_reference) as tree:
        assert (tree / "small").read_bytes() == FILES["small"]
    assert 0 < node.registry.bytes_of(digest) - before < size // 20


def test_the_tree_is_that_of_a_full_pull_of_either(node: Whole, image: Converted) -> None:
    node.pull(image.new_reference)
    lazily = read_wholly(node, image.new_reference)
    assert differences(lazily, pulled_wholly(node, image.reference)) == []
    assert differences(lazily, pulled_wholly(node, image.new_reference)) == []


def test_converting_again_gives_the_same_image(node: Whole, image: Converted) -> None:
    again = convert(node, image.reference, f"{image.new_reference}-again", "--no-index")
    assert again["new_manifest"] == image.told["new_manifest"]
    assert again["artifact"] is None
    further = convert(node, image.new_reference, f"{image.new_reference}-further")
    assert further["new_manifest"] == image.told["new_manifest"]
    assert further["artifact"] == image.told["artifact"], "it is indexed already"


def test_a_dry_run_says_what_would_be_done_and_why_and_does_nothing(
    node: Whole, image: Converted, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"{node.registry.host}/convert/dry:1"
    told = convert(node, image.reference, target, "--dry-run")
    assert (told["dry_run"], told["new_manifest"], told["artifact"]) == (True, None, None)
    for as_json in ([], ["--json"]):
        assert run(["image", "convert", image.reference, target, "--dry-run", *as_json]) == 0
        shown = capsys.readouterr().out
        assert "a zstd frame of more than 4 MiB" in shown
        assert "not zstd" in shown
    assert run(["image", "inspect", target]) == 3


def test_a_damaged_layer_pushes_nothing(node: Whole, capsys: pytest.CaptureFixture[str]) -> None:
    layer = layer_of({"large": text(2, 6 << 20)}, "zstd")
    reference = push(node, "convert/damaged", [layer])
    target = f"{node.registry.host}/convert/never:1"
    file = node.registry.blob_file(layer.digest)
    blob = bytearray(file.read_bytes())
    blob[-1000] ^= 1
    file.write_bytes(blob)
    assert run(["image", "convert", reference, target]) == 5
    assert layer.digest in capsys.readouterr().err
    assert not (node.registry.storage / "docker/registry/v2/repositories/convert/never").exists()


def test_indexing_and_inspecting_name_the_command(
    node: Whole, image: Converted, capsys: pytest.CaptureFixture[str]
) -> None:
    small = layer_of({"lazy in name only": text(3, 6 << 20)}, "zstd")
    reference = push(node, "convert/advice", [small, image.layers[1]])
    for verb in ("index", "inspect"):
        assert run(["image", verb, reference]) == 0
        assert (
            f"2 zstd in large frames, which nodes fetch whole; to make it lazy: bootseer image "
            f"convert {reference}" in capsys.readouterr().out
        )
