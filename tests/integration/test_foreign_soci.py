"""Images that SOCI has indexed, by its own library: served by those indexes, as they are."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from foreign_node import (
    SETTINGS,
    checked,
    how,
    pulled_wholly,
    read_wholly,
    record,
    with_registry,
)
from hostile_tars import IMPLICIT, beyond_json, duplicates, fractions, lower, upper
from small_image import text
from tree_facts import differences
from whole import Whole, bootseer, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer.digests import digest_of
from snapshotter.images.artifact import EMPTY
from snapshotter.images.soci import INDEX_DIGEST, OF_LAYER, V1, V2, ZTOC
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST
from snapshotter.registry.reference import Reference
from tests.foreign_layers import soci_ztoc
from tests.image_maker import (
    MadeImage,
    MadeLayer,
    descriptor,
    documents,
    layer_of,
    push_image,
    tar_of,
)
from tests.ztoc_maker import Value, changed, ztoc_of

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


@dataclass(frozen=True)
class Indexed:
    """A layer and its zTOC."""

    layer: MadeLayer
    ztoc: bytes


def indexed(tar: bytes, directory: Path) -> Indexed:
    """Return a gzip layer and the zTOC that SOCI makes of it."""
    layer = layer_of(tar)
    return Indexed(layer, soci_ztoc(layer.blob, directory))


def soci_index(layers: Sequence[Indexed], subject: Descriptor | None) -> bytes:
    """Return a SOCI index: of version 1 if it has a subject."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(V1 if subject else V2, EMPTY),
            "layers": [
                descriptor(ZTOC, one.ztoc, annotations={OF_LAYER: one.layer.digest})
                for one in layers
            ],
            **({"subject": subject.to_json()} if subject else {}),
            "annotations": {"com.amazon.soci.build-tool-identifier": "AWS SOCI CLI v0.2"},
        }
    ).encode()


async def put_blobs(client: RegistryClient, target: Reference, layers: Sequence[Indexed]) -> None:
    for blob in (EMPTY, *(one.ztoc for one in layers)):
        await client.uploads.put(target, blob)


def push_v1(node: Whole, name: str, layers: Sequence[Indexed]) -> str:
    """Push an image, then its index as `soci push` does."""

    async def pushing(client: RegistryClient, target: Reference) -> MadeImage:
        image = await push_image(client, target, [one.layer for one in layers])
        await put_blobs(client, target, layers)
        index = soci_index(layers, Descriptor(OCI_MANIFEST, image.digest, len(image.manifest)))
        pushed = await client.manifests.put(target, digest_of(index), OCI_MANIFEST, index)
        if pushed.subject != image.digest:  # a registry without referrers
            listed = Descriptor(OCI_MANIFEST, digest_of(index), len(index), artifact_type=V1)
            await client.referrers.announce(target, image.digest, listed)
        return image

    return with_registry(node, name, pushing)[0]


def push_v2(node: Whole, name: str, layers: Sequence[Indexed]) -> str:
    """Push an image that names its index, as `soci convert` makes it."""

    async def pushing(client: RegistryClient, target: Reference) -> MadeImage:
        await put_blobs(client, target, layers)
        index = soci_index(layers, None)
        await client.manifests.put(target, digest_of(index), OCI_MANIFEST, index)
        made = [one.layer for one in layers]
        config, manifest = documents(made)
        document = json.loads(manifest) | {"annotations": {INDEX_DIGEST: digest_of(index)}}
        data = json.dumps(document).encode()
        for blob in (config, *(layer.blob for layer in made)):
            await client.uploads.put(target, blob)
        pushed = await client.manifests.put(target, target.target, OCI_MANIFEST, data)
        return MadeImage(target, pushed.digest, data, tuple(made))

    return with_registry(node, name, pushing)[0]


PUSHES = {"v1": push_v1, "v2": push_v2}


@pytest.mark.parametrize("version", PUSHES)
def test_a_layer_with_a_ztoc_is_read_lazily_and_then_verified(
    node: Whole, tmp_path: Path, version: str
) -> None:
    chance = random.Random(version)
    files = {"data/small": b"small\n"} | {
        f"data/{i}": text(chance.randrange(99), 3 << 20) for i in range(6)
    }
    one = indexed(tar_of(files), tmp_path)
    reference = PUSHES[version](node, f"lazy-{version}", [one])
    node.pull(reference)
    assert how(node, one.layer) == ["lazy"]
    assert record(node, one.layer)["index_kind"] == "soci"
    assert node.registry.bytes_of(one.layer.digest) == 0
    told = bootseer("image", "inspect", reference, "--json", "--config", str(node.daemon.config))
    assert [layer["served_by"] for layer in json.loads(told)["layers"]] == ["soci"]
    node.kill_server()  # the next one has the windows on disk
    lazily = read_wholly(node, reference)
    assert lazily["data/0"].digest == digest_of(files["data/0"])
    wait_for(partial(checked, node, one.layer), "the check")
    assert record(node, one.layer)["merkle_root"]
    assert record(node, one.layer)["poisoned"] == ""


@pytest.mark.parametrize("version", PUSHES)
def test_the_tree_is_that_of_a_full_pull(node: Whole, tmp_path: Path, version: str) -> None:
    tars = (lower(), upper(), beyond_json(), duplicates(), fractions())
    layers = [indexed(tar, tmp_path) for tar in tars]
    reference = PUSHES[version](node, f"tree-{version}", layers)
    node.pull(reference)
    assert all(how(node, one.layer)[0] in ("lazy", "cached") for one in layers)
    assert all(record(node, one.layer)["index_kind"] == "soci" for one in layers)
    lazily = read_wholly(node, reference)
    assert differences(lazily, pulled_wholly(node, reference), IMPLICIT) == []
    for number, one in enumerate(layers):
        alone = PUSHES[version](node, f"alone-{version}-{number}", [one])
        node.pull(alone)
        read_wholly(node, alone)
        wait_for(partial(checked, node, one.layer), "the check")
        assert record(node, one.layer)["poisoned"] == ""


def test_compressed_bytes_that_are_not_the_ztocs_are_an_io_error(
    node: Whole, tmp_path: Path
) -> None:
    one = indexed(tar_of({"a": text(7, 3 << 20)}), tmp_path)
    reference = push_v1(node, "damaged", [one])
    node.pull(reference)
    blob = node.registry.blob_file(one.layer.digest)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(OSError, match="Input/output"):
        read_wholly(node, reference)


def test_a_ztoc_that_says_something_else_than_the_tar_is_found_out(
    node: Whole, tmp_path: Path
) -> None:
    def lie(files: list[dict[int, Value]]) -> None:
        files[0][5] = ("q", 0o4755)

    tar = tar_of({"a": b"a" * 5000})
    layer = layer_of(tar)
    one = Indexed(layer, changed(ztoc_of(layer.blob, tar), lie).encode())
    reference = push_v1(node, "lie", [one])
    node.pull(reference)
    assert how(node, layer) == ["lazy"]
    read_wholly(node, reference)
    wait_for(lambda: record(node, layer)["poisoned"], "the lie to be found")


def test_a_ztoc_that_is_not_what_its_index_says_is_refused_and_the_layer_unpacked(
    node: Whole, tmp_path: Path
) -> None:
    one = indexed(tar_of({"a": b"unpacked" * 500}), tmp_path)
    reference = push_v1(node, "bad-ztoc", [one])
    blob = node.registry.blob_file(digest_of(one.ztoc))
    blob.write_bytes(one.ztoc[:-1] + b"!")
    node.pull(reference)
    assert how(node, one.layer) == ["unpacked"]


def test_layers_that_soci_left_out_are_indexed_here(node: Whole, tmp_path: Path) -> None:
    one = indexed(tar_of({"a": b"large, to SOCI" * 500}), tmp_path)
    small = layer_of({"b": b"small"})

    async def pushing(client: RegistryClient, target: Reference) -> MadeImage:
        image = await push_image(client, target, [one.layer, small])
        await put_blobs(client, target, [one])
        index = soci_index([one], Descriptor(OCI_MANIFEST, image.digest, len(image.manifest)))
        pushed = await client.manifests.put(target, digest_of(index), OCI_MANIFEST, index)
        if pushed.subject != image.digest:
            listed = Descriptor(OCI_MANIFEST, digest_of(index), len(index), artifact_type=V1)
            await client.referrers.announce(target, image.digest, listed)
        return image

    reference, _ = with_registry(node, "left-out", pushing)
    node.pull(reference)
    assert [how(node, layer) for layer in (one.layer, small)] == [["lazy"], ["unpacked"]]
