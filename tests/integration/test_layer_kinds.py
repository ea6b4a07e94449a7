"""Every way in which a layer may be compressed and an image put together, on the real components:
lazily by our own index where that can be, and the same tree as a full pull."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
import zstandard
from foreign_node import (
    SETTINGS,
    how,
    pulled_wholly,
    push,
    read_wholly,
    record,
    with_registry,
)
from hostile_tars import IMPLICIT, beyond_json, duplicates, fractions, lower, upper
from image_trees import mounted_image
from small_image import text
from tree_facts import differences
from whole import Whole, bootseer, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer.digests import digest_of
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.manifests import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from snapshotter.registry.reference import Reference
from tests.image_maker import (
    OCI_LAYER,
    MadeImage,
    MadeLayer,
    descriptor,
    file_member,
    layer_of,
    push_image,
    tar_of,
)

pytestmark = pytest.mark.containers

NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar"


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


def members(tar: bytes) -> bytes:
    """Compress as several gzip members, cut anywhere."""
    step = 300_001
    return b"".join(gzip.compress(tar[at : at + step], mtime=0) for at in range(0, len(tar), step))


def frames(tar: bytes) -> bytes:
    """Compress as several zstd frames, cut anywhere."""
    step = 300_001
    return b"".join(zstandard.compress(tar[at : at + step]) for at in range(0, len(tar), step))


COMPRESSIONS: Mapping[str, tuple[Callable[[bytes], bytes], str]] = {
    "gzip": (lambda tar: gzip.compress(tar, mtime=0), "+gzip"),
    "gzip members": (members, "+gzip"),
    "zstd frames": (frames, "+zstd"),
    "one zstd frame": (zstandard.compress, "+zstd"),
    "uncompressed": (bytes, ""),
}
LAZY = [name for name in COMPRESSIONS if name != "one zstd frame"]


def compressed(tar: bytes, how_to: str) -> MadeLayer:
    """Return a layer."""
    compress, suffix = COMPRESSIONS[how_to]
    return MadeLayer(compress(tar), digest_of(tar), OCI_LAYER + suffix)


def index(node: Whole, reference: str) -> str:
    """Publish an image's indexes; return what the command said."""
    return bootseer("image", "index", reference, "--config", str(node.daemon.config))


def name_of(text_of: str) -> str:
    return text_of.replace(" ", "-")


@pytest.mark.parametrize("compression", LAZY)
def test_a_layer_is_read_lazily_whatever_it_is_compressed_with(
    node: Whole, compression: str
) -> None:
    files = {"small": b"small\n", "how": compression.encode()}
    files |= {f"{i}": text(i, 2 << 20) for i in range(6)}
    layer = compressed(tar_of(files), compression)
    reference = push(node, f"lazy-{name_of(compression)}", [layer])
    index(node, reference)
    before = node.registry.bytes_of(layer.digest)
    node.pull(reference)
    assert how(node, layer) == ["lazy"]
    with mounted_image(node, reference) as tree:
        assert (tree / "small").read_bytes() == b"small\n"
        assert node.registry.bytes_of(layer.digest) - before < len(layer.blob) // 2
        for name, content in files.items():
            assert (tree / name).read_bytes() == content
    wait_for(lambda: record(node, layer)["local"], "the check")


def test_one_large_zstd_frame_is_unpacked_here_and_said_to_be(node: Whole) -> None:
    layer = compressed(tar_of({"large": text(1, 1 << 20) * 70}), "one zstd frame")
    reference = push(node, "one-frame", [layer])
    assert "bootseer image convert" in index(node, reference), "what would make it lazy"
    node.pull(reference)
    assert how(node, layer) == ["unpacked"]
    told = bootseer("image", "inspect", reference, "--config", str(node.daemon.config))
    assert "sequential only" in told


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_tree_is_that_of_a_full_pull(node: Whole, compression: str) -> None:
    own = tar_of({"how": compression.encode()})  # or containerd has the snapshots already
    tars = (own, lower(), upper(), duplicates(), fractions(), beyond_json())
    layers = [compressed(tar, compression) for tar in tars]
    reference = push(node, f"tree-{name_of(compression)}", layers)
    index(node, reference)
    node.pull(reference)
    assert len({how(node, layer)[0] for layer in layers}) == 1
    lazily = read_wholly(node, reference)
    assert differences(lazily, pulled_wholly(node, reference), IMPLICIT) == []


def test_a_docker_schema_2_image_is_served_as_an_oci_one_is(node: Whole) -> None:
    own = tar_of({"how": b"docker"})
    layers = [layer_of(tar, docker=True) for tar in (own, lower(), upper())]
    reference = push(node, "docker", layers, docker=True)
    index(node, reference)
    node.pull(reference)
    assert all(how(node, layer)[0] in ("lazy", "cached") for layer in layers)
    assert differences(read_wholly(node, reference), pulled_wholly(node, reference), IMPLICIT) == []


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX])
def test_the_platforms_image_is_found_in_image_indexes_in_each_other(
    node: Whole, media_type: str
) -> None:
    docker = media_type == DOCKER_INDEX
    ours, others = (
        layer_of({"who": f"{name} {docker}".encode()}, docker=docker) for name in ("ours", "others")
    )

    async def pushing(client: RegistryClient, target: Reference) -> MadeImage:
        image = await push_image(client, target, [ours], docker=docker)
        other = await push_image(client, target, [others], docker=docker, architecture="arm64")
        kind = DOCKER_MANIFEST if docker else OCI_MANIFEST
        inner = _index(
            media_type,
            [
                descriptor(kind, other.manifest, platform={"os": "linux", "architecture": "arm64"}),
                descriptor(kind, image.manifest, platform={"os": "linux", "architecture": "amd64"}),
            ],
        )
        outer = _index(media_type, [descriptor(media_type, inner)])
        await client.manifests.put(target, digest_of(inner), media_type, inner)
        await client.manifests.put(target, target.target, media_type, outer)
        return image

    reference, _ = with_registry(node, f"nested-{'docker' if docker else 'oci'}", pushing)
    index(node, reference)
    node.pull(reference)
    assert how(node, ours) == ["lazy"]
    assert how(node, others) == []
    with mounted_image(node, reference) as tree:
        assert (tree / "who").read_text() == f"ours {docker}"


def _index(media_type: str, entries: Sequence[object]) -> bytes:
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return json.dumps(document).encode()


def test_a_layer_that_is_not_to_be_distributed_is_served_where_the_registry_has_it(
    node: Whole,
) -> None:
    layer = replace(layer_of({"a": b"licensed"}), media_type=f"{NONDISTRIBUTABLE}+gzip")
    reference = push(node, "licensed", [layer])
    index(node, reference)
    node.pull(reference)
    assert how(node, layer) == ["lazy"]
    with mounted_image(node, reference) as tree:
        assert (tree / "a").read_text() == "licensed"


def test_layers_without_contents_and_without_entries_are_served(node: Whole) -> None:
    names_only = tar_of([file_member("d", type=tarfile.DIRTYPE, mode=0o755), file_member("d/e")])
    layers = [layer_of({"a": b"below"}), layer_of(tar_of([])), layer_of(names_only)]
    layers.append(layer_of({"b": b"above"}))
    reference = push(node, "empty", layers)
    index(node, reference)
    node.pull(reference)
    assert [how(node, layer) for layer in layers] == [["lazy"]] * 4
    lazily = read_wholly(node, reference)
    assert sorted(lazily) == [".", "a", "b", "d", "d/e"]
    assert differences(lazily, pulled_wholly(node, reference), IMPLICIT) == []


def test_the_same_layer_twice_in_one_image_is_served_twice(node: Whole) -> None:
    twice = layer_of({"who": b"twice", "a": b"a"})
    between = layer_of([file_member("who", b"between"), file_member(".wh.a")])
    reference = push(node, "twice", [twice, between, twice])
    index(node, reference)
    node.pull(reference)
    assert how(node, twice) == ["lazy", "cached"]
    lazily = read_wholly(node, reference)
    assert lazily["who"].digest == digest_of(b"twice")
    assert differences(lazily, pulled_wholly(node, reference), IMPLICIT) == []


def sparse_tar(pieces: Sequence[tuple[int, bytes]], size: int) -> bytes:
    """Return a tar with a sparse file in GNU's PAX format 1.0."""
    text_map = f"{len(pieces)}\n" + "".join(f"{at}\n{len(data)}\n" for at, data in pieces)
    stored = text_map.encode().ljust(512, b"\0") + b"".join(data for _, data in pieces)
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "sparse",
        "GNU.sparse.realsize": str(size),
    }
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member, _ = file_member("GNUSparseFile.0/sparse", stored, pax_headers=headers)
        tar.addfile(member, io.BytesIO(stored))
    return output.getvalue()


def test_a_sparse_file_of_more_than_4_gib_is_served_with_its_holes(node: Whole) -> None:
    end = (4 << 30) + 12_345
    pieces = [
        (0, b"start"),
        (1 << 20, b"middle" * 1000),
        ((4 << 30) - 3, b"across"),
        (end - 3, b"end"),
    ]
    layer = layer_of(sparse_tar(pieces, end))
    reference = push(node, "sparse", [layer])
    index(node, reference)
    node.pull(reference)
    assert how(node, layer) == ["unpacked"], "a hole is larger than a chunk may be"
    with mounted_image(node, reference) as tree, (tree / "sparse").open("rb") as file:
        assert file.seek(0, io.SEEK_END) == end
        for at, data in pieces:
            file.seek(max(0, at - 10))
            before = min(10, at)
            assert file.read(before + len(data) + 10)[: before + len(data)] == bytes(before) + data
