"""Images in the formats of other lazy-pulling snapshotters, made by their own libraries and served
from their own tables of contents: nobody published an index of ours."""

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from foreign_node import (
    SETTINGS,
    how,
    pulled_wholly,
    push,
    read_wholly,
    served,
    verify_alone,
)
from hostile_tars import IMPLICIT, fractions, lower, upper
from small_image import base_tree, text
from tree_facts import differences
from whole import Whole, bootseer, wait_for, whole

from benchmarks.images.layer_tar import LayerTar
from benchmarks.lab.workdir import work_directory
from bootseer.digests import digest_of
from snapshotter.images.tocs import ESTARGZ_DIGEST
from tests.foreign_layers import CHUNKED, ESTARGZ, FORMATS, foreign_layer
from tests.image_maker import OCI_LAYER, MadeLayer, layer_of, tar_of
from tests.toc_maker import Change, Entries, make_estargz, same_entries

pytestmark = pytest.mark.containers

KINDS = {ESTARGZ: "estargz", "estargz-zstd": "zstd:chunked", CHUNKED: "zstd:chunked"}
BIG = text(1, 6 << 20) * 4


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tar of a layer with busybox."""
    output = io.BytesIO()
    LayerTar(base_tree(tmp_path_factory.mktemp("base"))).write(output)
    return output.getvalue()


def data_tar() -> bytes:
    """Return the tar of a layer most of which a container does not read."""
    files = {"data/small": b"small\n", "data/big": BIG}
    return tar_of(files | {f"data/{i}": text(i, 1000 * i) for i in range(2, 40)})


@pytest.mark.parametrize("form", FORMATS)
def test_a_layer_with_a_table_of_contents_is_read_lazily_and_then_verified(
    node: Whole, base: bytes, tmp_path: Path, form: str
) -> None:
    layers = [foreign_layer(tar, tmp_path, form) for tar in (base, data_tar())]
    reference = push(node, f"lazy-{form}", layers)
    node.pull(reference)
    assert [how(node, layer) for layer in layers] == [["lazy"], ["lazy"]]
    assert node.run(reference, "cat", "/data/small") == "small\n"
    assert served(node, layers[1])["index"] == KINDS[form]
    assert node.registry.bytes_of(layers[1].digest) < len(layers[1].blob) // 2
    read_wholly(node, reference)
    verify_alone(node, f"lazy-alone-{form}", layers)


@pytest.mark.parametrize("form", FORMATS)
def test_the_tree_is_that_of_a_full_pull(node: Whole, tmp_path: Path, form: str) -> None:
    layers = [foreign_layer(tar, tmp_path, form) for tar in (lower(), upper())]
    reference = push(node, f"tree-{form}", layers)
    node.pull(reference)
    assert [how(node, layer) for layer in layers] == [["lazy"], ["lazy"]]
    lazily = read_wholly(node, reference)
    assert differences(lazily, pulled_wholly(node, reference), IMPLICIT) == []
    verify_alone(node, f"alone-{form}", layers)


def test_times_that_are_no_whole_seconds_are_kept_where_the_table_has_them(
    node: Whole, tmp_path: Path
) -> None:
    layer = foreign_layer(fractions(), tmp_path, CHUNKED)
    reference = push(node, "fractions", [layer])
    node.pull(reference)
    lazily = read_wholly(node, reference)
    assert lazily["time-1700000000.123456789"].mtime_ns == 1_700_000_000_123_456_789
    verify_alone(node, "fraction", [layer])
    layer = foreign_layer(fractions(), tmp_path, ESTARGZ)
    reference = push(node, "rounded", [layer])
    node.pull(reference)
    rounded = read_wholly(node, reference)
    assert rounded["time-1700000000.5"].mtime_ns == 1_700_000_001_000_000_000
    verify_alone(node, "round", [layer])


def spoken_for(node: Whole, name: str, layer: MadeLayer, digest: str) -> str:
    """Push an image whose manifest vouches for a table of this digest."""
    return push(node, name, [replace(layer, annotations={ESTARGZ_DIGEST: digest})])


def made_layer(change: Change = same_entries) -> tuple[MadeLayer, str]:
    """Return an eStargz layer that was made by the specification, and its table's digest."""
    blob, table = make_estargz({"one": b"1" * 5000, "two": b"2" * 5000}, change)
    tar = gzip.decompress(blob)
    return MadeLayer(blob, digest_of(tar), f"{OCI_LAYER}+gzip"), digest_of(table)


def test_a_table_that_the_manifest_does_not_vouch_for_is_not_looked_at(
    node: Whole, tmp_path: Path
) -> None:
    layer = foreign_layer(tar_of({"a": b"plain" * 999}), tmp_path, ESTARGZ)
    reference = push(node, "no-annotation", [replace(layer, annotations={})])
    node.pull(reference)
    assert how(node, layer) == ["unpacked"]


def test_a_table_of_another_digest_is_refused_and_the_layer_unpacked(node: Whole) -> None:
    layer, _ = made_layer()
    reference = spoken_for(node, "other-digest", layer, digest_of(b"another table"))
    node.pull(reference)
    assert how(node, layer) == ["unpacked"]
    refused = [line for line in node.daemon.log().splitlines() if "index.refused" in line]
    assert "the manifest says" in refused[-1]


def test_a_table_that_says_something_else_than_the_tar_is_found_out(node: Whole) -> None:
    def lie(entries: Entries) -> Entries:
        return [one | {"mode": 0o4755} if one["type"] == "reg" else one for one in entries]

    layer, digest = made_layer(lie)
    reference = spoken_for(node, "lie", layer, digest)
    node.pull(reference)
    assert how(node, layer) == ["lazy"]
    read_wholly(node, reference)
    wait_for(lambda: served(node, layer)["poisoned"], "the lie to be found")
    assert "another file tree" in str(served(node, layer)["poisoned"])


def test_contents_that_are_not_the_tables_are_an_io_error(node: Whole) -> None:
    def lie(entries: Entries) -> Entries:
        return [one | {"chunkDigest": digest_of(b"")} for one in entries]

    layer, digest = made_layer(lie)
    reference = spoken_for(node, "bad-digest", layer, digest)
    node.pull(reference)
    with pytest.raises(OSError, match="Input/output"):
        read_wholly(node, reference)


def test_inspect_says_by_which_index_each_layer_is_served(node: Whole, tmp_path: Path) -> None:
    layers = [foreign_layer(tar_of({form: b"x"}), tmp_path, form) for form in FORMATS]
    layers.append(layer_of({"plain": b"x"}))
    reference = push(node, "inspected", layers)
    told = bootseer("image", "inspect", reference, "--json", "--config", str(node.daemon.config))
    kinds = [layer["served_by"] for layer in json.loads(told)["layers"]]
    assert kinds == [*(KINDS[form] for form in FORMATS), None]
    assert "by estargz" in bootseer(
        "image", "inspect", reference, "--config", str(node.daemon.config)
    )
