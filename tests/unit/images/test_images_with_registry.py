"""Resolving, indexing, finding and inspecting images, with a real registry."""

import asyncio
import datetime as dt
import json
import multiprocessing
import random
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, NotFoundError
from snapshotter.images.artifact import ARTIFACT_TYPE, CREATED, INDEX_TYPE, WINDOWS_TYPE
from snapshotter.images.find import find_artifact
from snapshotter.images.indexing import IndexingPolicy, index_image
from snapshotter.images.inspection import files, inspect_image
from snapshotter.images.layer_indexing import Progress, Stage
from snapshotter.images.published import PublishedImages
from snapshotter.images.resolve import resolve
from snapshotter.layers.format import decode
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.manifests import OCI_MANIFEST
from snapshotter.registry.reference import Reference, parse_reference
from snapshotter.registry.referrers import fallback_tag, parse_referrers
from snapshotter.registry.repository import RepositoryAccess
from tests.image_maker import MadeImage, MadeLayer, layer_of, push_image, push_index
from tests.registry_fixture import ALONE, RunningRegistry, registry

__all__ = ["registry"]

AMD64 = Platform("linux", "amd64")
_RANDOM = random.Random(7)
DATA = _RANDOM.randbytes(3 << 20)


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient(ALONE) as client:
        yield client


@pytest.fixture
def reference(registry: RunningRegistry, request: pytest.FixtureRequest) -> Reference:
    name = request.node.name.lower().replace("[", "-").replace("]", "")
    return parse_reference(f"{registry.host}/t/{name}:1")


def some_layers() -> list[MadeLayer]:
    text = b"".join(b"line %d of a text\n" % i for i in range(200_000))
    return [
        layer_of({"bin/tool": DATA, "etc/text": text}),
        layer_of({"srv/raw": DATA[:100_000]}, "none"),
        layer_of({"opt/.wh.gone": b"", "opt/new": b"new"}),
    ]


def fetch_all(access: RepositoryAccess, digest: str) -> bytes:
    """Fetch a blob, in a process of its own."""

    async def fetch() -> bytes:
        async with access.open() as blobs:
            return b"".join([piece async for piece in blobs.stream(digest)])

    return asyncio.run(fetch())


async def indexed(client: RegistryClient, reference: Reference) -> MadeImage:
    made = await push_image(client, reference, some_layers())
    await index_image(client, reference, AMD64)
    return made


async def test_an_indexed_image_is_found_by_its_manifest_digest(
    client: RegistryClient, reference: Reference
) -> None:
    made = await push_image(client, reference, some_layers())
    assert await find_artifact(client, reference, made.digest) is None
    done = await index_image(client, reference, AMD64)
    assert done.published
    found = await find_artifact(client, reference, made.digest)
    assert found is not None
    assert found.digest == done.artifact_digest
    assert [entry.layer_digest for entry in found.artifact.layers] == [
        layer.digest for layer in made.layers
    ]


async def test_the_published_index_describes_the_layer(
    client: RegistryClient, reference: Reference
) -> None:
    made = await indexed(client, reference)
    found = await find_artifact(client, reference, made.digest)
    assert found is not None
    for layer in made.layers:
        entry = found.artifact.layer(layer.digest)
        assert entry is not None
        index = decode(await client.blobs.get(reference, entry.index.digest, entry.index.size))
        assert (index.layer_digest, index.layer_size) == (layer.digest, len(layer.blob))
        assert index.diff_id == layer.diff_id
        windows = entry.windows
        assert index.windows_digest == (windows.digest if windows else "")
        if windows:
            data = await client.blobs.get(reference, windows.digest, windows.size)
            assert len(data) == int(index.chunks.window[-1])


async def test_indexing_does_not_change_the_image(
    client: RegistryClient, reference: Reference
) -> None:
    made = await indexed(client, reference)
    raw = await client.manifests.get(reference)
    assert (raw.digest, raw.data) == (made.digest, made.manifest)


async def test_an_indexed_image_is_not_indexed_again_unless_asked(
    client: RegistryClient, reference: Reference
) -> None:
    await indexed(client, reference)
    before = client.statistics.received["blob"]
    second = await index_image(client, reference, AMD64)
    assert not second.published
    assert {layer.stage for layer in second.layers} == {Stage.KEPT}
    assert client.statistics.received["blob"] - before < 10_000
    third = await index_image(client, reference, AMD64, IndexingPolicy(again=True))
    assert third.published
    assert third.artifact_digest != second.artifact_digest
    found = await find_artifact(client, reference, third.image.digest)
    assert found is not None
    assert found.digest == third.artifact_digest


async def test_progress_ends_with_every_layer_done(
    client: RegistryClient, reference: Reference
) -> None:
    made = await push_image(client, reference, some_layers())
    seen: list[Progress] = []
    await index_image(client, reference, AMD64, progress=seen.append)
    last = {news.layer.digest: news for news in seen}
    assert set(last) == {layer.digest for layer in made.layers}
    for news in last.values():
        assert news.stage is Stage.INDEXED
        assert news.done == news.layer.size


async def test_a_layer_that_is_there_twice_is_indexed_once(
    client: RegistryClient, reference: Reference
) -> None:
    layer = layer_of({"a": b"a"})
    await push_image(client, reference, [layer, layer_of({"b": b"b"}), layer])
    done = await index_image(client, reference, AMD64)
    assert len(done.layers) == 2


async def test_an_image_without_layers_gets_an_empty_artifact(
    client: RegistryClient, reference: Reference
) -> None:
    await push_image(client, reference, [])
    done = await index_image(client, reference, AMD64)
    found = await find_artifact(client, reference, done.image.digest)
    assert found is not None
    assert found.artifact.layers == ()


async def test_a_docker_image_is_indexed_too(client: RegistryClient, reference: Reference) -> None:
    made = await push_image(client, reference, [layer_of({"a": b"a"}, docker=True)], docker=True)
    await index_image(client, reference, AMD64)
    assert await find_artifact(client, reference, made.digest) is not None


async def test_a_single_zstd_frame_is_noted_as_sequential_and_not_read_again(
    client: RegistryClient, reference: Reference
) -> None:
    layer = layer_of({"big": _RANDOM.randbytes(1 << 20) * 80}, "zstd")
    made = await push_image(client, reference, [layer])
    first = await index_image(client, reference, AMD64)
    assert [one.stage for one in first.layers] == [Stage.UNINDEXED]
    assert not (await index_image(client, reference, AMD64)).published
    report = await inspect_image(client, reference, AMD64)
    assert report.layers[0].sequential
    images = PublishedImages(client)
    assert await images.index_of(str(reference), made.digest, layer.digest) is None


async def test_a_layer_whose_diff_id_lies_is_refused(
    client: RegistryClient, reference: Reference
) -> None:
    layer = replace(layer_of({"a": b"a"}), diff_id=digest_of(b"other"))
    made = await push_image(client, reference, [layer])
    with pytest.raises(CorruptError, match="image configuration says"):
        await index_image(client, reference, AMD64)
    assert await find_artifact(client, reference, made.digest) is None


async def test_a_layer_that_is_no_tar_is_refused_by_name(
    client: RegistryClient, reference: Reference
) -> None:
    layer = layer_of(b"this is not a tar" * 100)
    await push_image(client, reference, [layer])
    with pytest.raises(CorruptError, match=layer.digest):
        await index_image(client, reference, AMD64)


async def test_the_platform_chooses_the_image(client: RegistryClient, reference: Reference) -> None:
    images = {
        f"linux/{name}": await push_image(
            client,
            replace(reference, tag=name),
            [layer_of({name: name.encode()})],
            architecture=name,
        )
        for name in ("amd64", "arm64")
    }
    await push_index(client, reference, images)
    for platform, made in images.items():
        image = await resolve(client, reference, Platform(*platform.split("/")))
        assert image.digest == made.digest
    with pytest.raises(NotFoundError, match="riscv64"):
        await resolve(client, reference, Platform("linux", "riscv64"))


async def test_an_image_index_inside_an_image_index_is_followed_but_not_for_ever(
    client: RegistryClient, reference: Reference
) -> None:
    made = await push_image(client, replace(reference, tag="x"), [layer_of({"a": b""})])
    document = made.manifest
    media_type = OCI_MANIFEST
    for depth in range(5):
        entry = {"mediaType": media_type, "digest": digest_of(document), "size": len(document)}
        media_type = "application/vnd.oci.image.index.v1+json"
        document = json.dumps(
            {"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}
        ).encode()
        await client.manifests.put(reference, f"depth{depth}", media_type, document)
    image = await resolve(client, replace(reference, tag="depth2"), AMD64)
    assert image.digest == made.digest
    with pytest.raises(CorruptError, match="image indexes"):
        await resolve(client, replace(reference, tag="depth4"), AMD64)


async def announce_manifest(
    client: RegistryClient, reference: Reference, subject: str, data: bytes, created: str
) -> str:
    """Push any bytes as an index artifact of `subject`."""
    await client.uploads.put(reference, b"{}")
    await client.manifests.put(reference, digest_of(data), OCI_MANIFEST, data)
    annotations = {CREATED: created} if created else {}
    added = Descriptor(
        OCI_MANIFEST, digest_of(data), len(data), annotations, artifact_type=ARTIFACT_TYPE
    )
    await client.referrers.announce(reference, subject, added)
    return digest_of(data)


async def test_a_broken_artifact_is_passed_over_and_logged(
    client: RegistryClient, reference: Reference, caplog: pytest.LogCaptureFixture
) -> None:
    made = await indexed(client, reference)
    good = await find_artifact(client, reference, made.digest)
    assert good is not None
    raw = await client.manifests.get(reference, good.digest)
    document = json.loads(raw.data)
    document["subject"]["digest"] = digest_of(b"another image")
    broken = json.dumps(document).encode()
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    digest = await announce_manifest(client, reference, made.digest, broken, later)
    found = await find_artifact(client, reference, made.digest)
    assert found is not None
    assert found.digest == good.digest
    records = [r for r in caplog.records if r.getMessage() == "index.artifact.unusable"]
    assert [r.fields["artifact"] for r in records] == [digest]  # type: ignore[attr-defined]


@pytest.mark.parametrize("dated", [True, False])
async def test_of_several_artifacts_the_newest_counts_even_if_the_list_has_no_dates(
    client: RegistryClient, reference: Reference, dated: bool
) -> None:
    made = await indexed(client, reference)
    first = await find_artifact(client, reference, made.digest)
    assert first is not None
    document = json.loads((await client.manifests.get(reference, first.digest)).data)
    digests = {}
    for year in (2090, 2099, 2095):
        document["annotations"][CREATED] = f"{year}-01-01T00:00:00Z"
        data = json.dumps(document).encode()
        created = document["annotations"][CREATED] if dated else ""
        digests[year] = await announce_manifest(client, reference, made.digest, data, created)
    found = await find_artifact(client, reference, made.digest)
    assert found is not None
    assert found.digest == digests[2099]


async def test_a_broken_list_of_referrers_is_no_index_and_logged(
    client: RegistryClient, reference: Reference, caplog: pytest.LogCaptureFixture
) -> None:
    made = await push_image(client, reference, [layer_of({"a": b"a"})])
    tag = fallback_tag(made.digest)
    await client.manifests.put(reference, tag, OCI_MANIFEST, made.manifest)
    assert await find_artifact(client, reference, made.digest) is None
    assert "index.referrers.unusable" in [record.getMessage() for record in caplog.records]
    with pytest.raises(CorruptError, match=tag):
        await index_image(client, reference, AMD64)  # it would overwrite what it cannot read


async def test_the_fallback_tag_keeps_what_others_listed(
    client: RegistryClient, reference: Reference
) -> None:
    made = await push_image(client, reference, [layer_of({"a": b"a"})])
    other = Descriptor(
        OCI_MANIFEST, made.digest, len(made.manifest), artifact_type="application/vnd.other"
    )
    await client.referrers.announce(reference, made.digest, other)
    await index_image(client, reference, AMD64)
    tag = fallback_tag(made.digest)
    raw = await client.manifests.get(reference, tag)
    listed = parse_referrers(raw.data, tag, client.settings.limits)
    assert [one.artifact_type for one in listed] == ["application/vnd.other", ARTIFACT_TYPE]
    assert CREATED in listed[1].annotations


async def test_the_daemon_sees_where_a_layers_index_is(
    client: RegistryClient, reference: Reference
) -> None:
    made = await indexed(client, reference)
    images = PublishedImages(client)
    layer = made.layers[0].digest
    for name in (str(reference), f"{reference.name}@{made.digest}"):
        index = await images.index_of(name, made.digest, layer)
        assert index is not None
        data = await images.blobs(name).read(index.digest, 0, index.size)
        assert digest_of(data) == index.digest
    assert await images.index_of(str(reference), made.digest, digest_of(b"no layer")) is None
    assert await images.index_of(str(reference), digest_of(b"no image"), layer) is None


async def test_the_daemon_asks_the_registry_once_for_all_layers(
    client: RegistryClient, reference: Reference
) -> None:
    made = await indexed(client, reference)
    images = PublishedImages(client)
    asked = client.statistics.requests.total()
    for layer in made.layers * 5:
        assert await images.index_of(str(reference), made.digest, layer.digest)
    assert client.statistics.requests.total() - asked <= 4


async def test_a_worker_process_reaches_the_repository_with_what_was_pickled(
    client: RegistryClient, reference: Reference
) -> None:
    digest = digest_of(DATA)
    await client.uploads.put(reference, DATA)
    access = RepositoryAccess(client.settings, str(reference))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as workers:
        fetched = asyncio.get_running_loop().run_in_executor(workers, fetch_all, access, digest)
        assert await fetched == DATA


async def test_inspect_lists_sizes_and_files_of_every_layer(
    client: RegistryClient, reference: Reference
) -> None:
    made = await indexed(client, reference)
    report = await inspect_image(client, reference, AMD64)
    assert [layer.digest for layer in report.layers] == [layer.digest for layer in made.layers]
    assert all(layer.indexed and layer.share for layer in report.layers)
    top = report.layers[2].index
    assert top is not None
    listed = {entry.path: entry for entry in files(top.tree)}
    assert set(listed) == {b"opt", b"opt/gone", b"opt/new"}
    assert listed[b"opt/gone"].whiteout
    assert listed[b"opt/new"].size == 3
    assert listed[b"opt/new"].permissions == "-rw-r--r--"


async def test_inspect_says_what_is_wrong_with_an_index(
    client: RegistryClient, reference: Reference
) -> None:
    made = await indexed(client, reference)
    good = await find_artifact(client, reference, made.digest)
    assert good is not None
    document = json.loads((await client.manifests.get(reference, good.digest)).data)
    indexes = [one for one in document["layers"] if one["mediaType"] == INDEX_TYPE]
    junk = b"this is no index"
    await client.uploads.put(reference, junk)
    indexes[0] |= {"digest": digest_of(junk), "size": len(junk)}
    document["annotations"][CREATED] = "2099-01-01T00:00:00Z"
    data = json.dumps(document).encode()
    await announce_manifest(client, reference, made.digest, data, "2099-01-01T00:00:00Z")
    report = await inspect_image(client, reference, AMD64)
    assert [layer.indexed for layer in report.layers] == [False, True, True]
    assert report.layers[0].problem


def test_media_types_are_those_that_were_published_before() -> None:
    """Changing one of them orphans every index in every registry."""
    assert ARTIFACT_TYPE == "application/vnd.bootseer.index.v1"
    assert INDEX_TYPE == "application/vnd.bootseer.layer-index.v1"
    assert WINDOWS_TYPE == "application/vnd.bootseer.layer-windows.v1"
