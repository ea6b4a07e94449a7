"""Converting images whose layers are large zstd frames, with a real registry."""

import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, NotFoundError, UsageError
from snapshotter.images.conversion import (
    ConversionPolicy,
    ConvertedImage,
    check_target,
    plan_conversion,
    publish_converted,
    push_converted,
)
from snapshotter.images.converted import ZSTD_LAYER, converted_layer, converted_manifest
from snapshotter.images.convertible import Reason
from snapshotter.images.find import find_artifact
from snapshotter.images.indexing import IndexedImage, IndexingPolicy
from snapshotter.images.inspection import inspect_image
from snapshotter.images.resolve import resolve
from snapshotter.images.trust import PIN
from snapshotter.layers.reframe import Reframed
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.reference import Reference, parse_reference
from tests.image_maker import MadeLayer, documents, layer_of, push_image, tar_of
from tests.registry_fixture import RunningRegistry, registry, running_registry

__all__ = ["registry"]

AMD64 = Platform("linux", "amd64")
DATA = random.Random(3).randbytes(5 << 20)
MANY = "io.github.containers.zstd-chunked.manifest-checksum"


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient() as client:
        yield client


@pytest.fixture
def reference(registry: RunningRegistry, request: pytest.FixtureRequest) -> Reference:
    return parse_reference(f"{registry.host}/t/{request.node.name.lower()}:1")


@pytest.fixture
def target(reference: Reference) -> Reference:
    return replace(reference, tag="converted")


def coarse(name: str = "big", data: bytes = DATA) -> MadeLayer:
    return layer_of({name: data, "small": name.encode()}, "zstd")


def fine() -> MadeLayer:
    tar = tar_of({"fine": DATA})
    frames = [zstandard.compress(tar[at : at + (1 << 20)]) for at in range(0, len(tar), 1 << 20)]
    return MadeLayer(b"".join(frames), digest_of(tar), ZSTD_LAYER)


def some_layers() -> list[MadeLayer]:
    return [layer_of({"gzip": b"1"}), coarse(), fine(), layer_of({"raw": b"2"}, "none"), coarse()]


async def convert(
    client: RegistryClient,
    reference: Reference,
    target: Reference,
    scratch: Path,
    indexing: IndexingPolicy | None = None,
) -> tuple[ConvertedImage, IndexedImage | None]:
    scratch.mkdir()
    news: list[tuple[Descriptor, int, str]] = []
    stages = []
    plan = await plan_conversion(client, reference, AMD64, parallel=2)
    made = await push_converted(
        client, plan, target, ConversionPolicy(scratch), lambda *one: news.append(one)
    )
    assert list(scratch.iterdir()) == []
    done = await publish_converted(
        client, plan, made, indexing, lambda progress: stages.append(progress.stage)
    )
    assert bool(stages) == (indexing is not None)
    for layer in made.layers:
        assert max(done for one, done, _ in news if one.digest == layer) > 0
    return made, done


async def test_only_layers_of_large_zstd_frames_are_converted(
    client: RegistryClient, reference: Reference
) -> None:
    await push_image(client, reference, some_layers())
    plan = await plan_conversion(client, reference, AMD64, parallel=2)
    assert [judged.reason for judged in plan.layers] == [
        Reason.OTHER,
        Reason.COARSE,
        Reason.FINE,
        Reason.OTHER,
    ]
    assert [judged.convert for judged in plan.layers] == [False, True, False, False]


async def test_judging_a_large_frame_does_not_fetch_it_whole(
    client: RegistryClient, reference: Reference
) -> None:
    layer = coarse(data=random.Random(4).randbytes(24 << 20))
    await push_image(client, reference, [layer])
    before = client.statistics.received["blob"]
    await plan_conversion(client, reference, AMD64, parallel=2)
    assert client.statistics.received["blob"] - before < len(layer.blob) // 2


async def test_the_new_image_has_the_same_configuration_and_contents(
    client: RegistryClient, reference: Reference, target: Reference, tmp_path: Path
) -> None:
    layers = some_layers()
    await push_image(client, reference, layers)
    made, _ = await convert(client, reference, target, tmp_path / "scratch")
    old, new = [await resolve(client, name, AMD64) for name in (reference, target)]
    assert new.digest == made.reference.digest
    assert new.raw_config == old.raw_config
    assert [len(made.layers), made.layers.keys()] == [1, {layers[1].digest}]
    for before, after, diff_id in zip(old.layers, new.layers, old.config.diff_ids, strict=True):
        if before.digest not in made.layers:
            assert after == before
            continue
        assert (after.media_type, after.annotations) == (before.media_type, before.annotations)
        blob = await client.blobs.get(target, after.digest, after.size)
        tar = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(blob)
        assert digest_of(tar) == diff_id


async def test_the_new_image_is_indexed_in_chunks_of_a_frame(
    client: RegistryClient, reference: Reference, target: Reference, tmp_path: Path
) -> None:
    await push_image(client, reference, some_layers())
    made, indexed = await convert(client, reference, target, tmp_path / "scratch", IndexingPolicy())
    assert indexed is not None
    assert not any(layer.coarse for layer in indexed.layers)
    report = await inspect_image(client, target, AMD64)
    assert report.found is not None
    assert report.found.digest == indexed.artifact_digest
    assert all(layer.indexed and not layer.coarse for layer in report.layers)
    (new,) = made.layers.values()
    assert {layer.chunks for layer in report.layers if layer.digest == new.descriptor.digest} == {
        new.frames
    }
    before = await resolve(client, reference, AMD64)
    assert await find_artifact(client, reference, before.digest) is None


async def test_inspecting_says_which_indexed_layers_have_large_frames(
    client: RegistryClient, reference: Reference, tmp_path: Path
) -> None:
    await push_image(client, reference, some_layers())
    indexing = IndexingPolicy()
    same = replace(reference, tag="again")
    plan = await plan_conversion(client, reference, AMD64, parallel=1)
    unconverted = replace(plan, layers=[one for one in plan.layers if not one.convert])
    made = await push_converted(
        client, unconverted, same, ConversionPolicy(tmp_path), lambda *_: None
    )
    indexed = await publish_converted(client, unconverted, made, indexing, lambda _: None)
    assert indexed is not None
    assert made.reference.digest == plan.image.digest, "without a change the manifest stays"
    assert [layer.coarse for layer in indexed.layers] == [False, True, False, False]
    report = await inspect_image(client, reference, AMD64)
    assert [layer.coarse for layer in report.layers] == [False, True, False, False, True]


async def test_converting_again_gives_the_same_image_and_sends_nothing(
    client: RegistryClient, reference: Reference, target: Reference, tmp_path: Path
) -> None:
    await push_image(client, reference, some_layers())
    first, _ = await convert(client, reference, target, tmp_path / "one")
    sent = client.statistics.requests["upload"]
    second, _ = await convert(client, reference, target, tmp_path / "two")
    assert second.reference == first.reference
    heads_and_manifests = 2 + 2  # the layer and the configuration are asked for, not sent
    assert client.statistics.requests["upload"] - sent == heads_and_manifests


async def test_a_converted_image_is_not_converted_further(
    client: RegistryClient, reference: Reference, target: Reference, tmp_path: Path
) -> None:
    await push_image(client, reference, some_layers())
    first, _ = await convert(client, reference, target, tmp_path / "one")
    other = replace(reference, tag="twice")
    second, _ = await convert(client, target, other, tmp_path / "two")
    assert second.reference.digest == first.reference.digest
    assert second.layers == {}


async def test_layers_that_stay_are_mounted_from_the_other_repository(
    client: RegistryClient, reference: Reference, registry: RunningRegistry, tmp_path: Path
) -> None:
    layers = some_layers()
    await push_image(client, reference, layers)
    elsewhere = parse_reference(f"{registry.host}/elsewhere/mounted:1")
    before = client.statistics.received["blob"]
    await convert(client, reference, elsewhere, tmp_path / "scratch")
    new = await resolve(client, elsewhere, AMD64)
    for layer in new.layers:
        assert await client.blobs.size(elsewhere, layer.digest) == layer.size
    read = client.statistics.received["blob"] - before
    coarse_and_fine = 2 * len(layers[1].blob) + len(layers[2].blob)
    assert read < coarse_and_fine + (1 << 20), "kept layers are read to be judged, not to be sent"


async def test_a_blob_is_mounted_only_from_where_it_is(
    client: RegistryClient, reference: Reference
) -> None:
    data = b"a blob of " + reference.path.encode()
    source, target = [replace(reference, path=f"mount/{name}") for name in ("from", "to")]
    assert not await client.uploads.mount(target, source, digest_of(data))
    await client.uploads.put(source, data)
    assert await client.uploads.mount(target, source, digest_of(data))
    assert await client.blobs.get(target, digest_of(data), len(data)) == data
    assert await client.uploads.mount(target, source, digest_of(data)), "it is there already"


async def test_an_image_is_converted_into_another_registry(
    client: RegistryClient, reference: Reference, tmp_path: Path
) -> None:
    await push_image(client, reference, some_layers())
    with running_registry(tmp_path / "other") as other:
        elsewhere = parse_reference(f"{other.host}/x/y:1")
        made, indexed = await convert(
            client, reference, elsewhere, tmp_path / "scratch", IndexingPolicy()
        )
        assert indexed is not None
        assert indexed.image.digest == made.reference.digest
        new = await resolve(client, elsewhere, AMD64)
        for layer in new.layers:
            blob = await client.blobs.get(elsewhere, layer.digest, layer.size)
            assert len(blob) == layer.size


def damaged(layer: MadeLayer) -> MadeLayer:
    """Return a layer that is what its digest says, and ends too early."""
    return replace(layer, blob=layer.blob[:-1000])


def of_other_contents(layer: MadeLayer) -> MadeLayer:
    return replace(layer, diff_id=digest_of(b"something else"))


@pytest.mark.parametrize(
    ("spoil", "reason"), [(damaged, "inside a frame"), (of_other_contents, "configuration says")]
)
async def test_nothing_is_pushed_of_an_image_with_a_layer_that_is_not_right(
    client: RegistryClient,
    registry: RunningRegistry,
    tmp_path: Path,
    spoil: Callable[[MadeLayer], MadeLayer],
    reason: str,
) -> None:
    reference = parse_reference(f"{registry.host}/t/{spoil.__name__}:1")
    target = parse_reference(f"{registry.host}/t/never-{spoil.__name__}:1")
    layers = [coarse("good"), spoil(coarse("bad"))]
    await push_image(client, reference, layers)
    sent = client.statistics.requests["upload"]
    with pytest.raises(CorruptError, match=f"{layers[1].digest}.*{reason}"):
        await convert(client, reference, target, tmp_path / "scratch")
    assert client.statistics.requests["upload"] == sent
    with pytest.raises(NotFoundError):
        await client.manifests.get(target)


def test_annotations_stay_unless_they_speak_of_the_old_bytes() -> None:
    annotations = {"org.example": "stays", PIN: "x", MANY: "y"}
    layer = replace(coarse(), annotations=annotations)
    _, manifest = documents([layer_of({"a": b""}), layer])
    document = json.loads(manifest) | {"annotations": {"of": "the image"}, "unknown": [1]}
    old = Descriptor(layer.media_type, layer.digest, len(layer.blob), annotations)
    new = converted_layer(old, Reframed("", 0, "", digest_of(b"new"), 7, 1))
    made = json.loads(converted_manifest(json.dumps(document).encode(), {layer.digest: new}))
    assert made.pop("layers") == [
        document["layers"][0],
        {
            "mediaType": ZSTD_LAYER,
            "digest": digest_of(b"new"),
            "size": 7,
            "annotations": {"org.example": "stays"},
        },
    ]
    document.pop("layers")
    assert made == document


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ZSTD_LAYER, ZSTD_LAYER),
        ("application/vnd.oci.image.layer.v1.tar+gzip", ZSTD_LAYER),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", None),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", None),
    ],
)
def test_the_media_type_says_zstd_in_the_way_it_did(old: str, new: str | None) -> None:
    layer = converted_layer(Descriptor(old, digest_of(b""), 0), Reframed("", 0, "", "", 0, 0))
    assert layer.media_type == (new or old)


@pytest.mark.parametrize("target", ["x/y:1", "x/y@" + digest_of(b"")])
def test_what_the_new_image_may_not_be_called(target: str) -> None:
    with pytest.raises(UsageError):
        check_target(parse_reference("x/y:1"), parse_reference(target))
