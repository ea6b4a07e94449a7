"""Records and packs in a real registry, one that lies on demand, and a directory."""

import asyncio
import datetime as dt
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hot_records import created, merged, record

from benchmarks.lab.hdfs import Hdfs
from bootseer.blobs.directory import DirectoryBlobs
from bootseer.digests import digest_of
from bootseer.errors import CorruptError, RemoteError, UsageError
from snapshotter.hot.artifact import HotArtifact, HotKind
from snapshotter.hot.record_format import VERSION, encode
from snapshotter.hotstore.blobs import BlobHotStore
from snapshotter.hotstore.places import open_hot_store
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.hotstore.store import ArtifactHotStore
from snapshotter.images.artifact import CREATED
from snapshotter.limits import Limits
from snapshotter.ports import ImageKey
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.reference import parse_reference
from snapshotter.registry.referrers import fallback_tag
from snapshotter.registry.retry import RetryPolicy
from tests import hostile_registry as hostile
from tests.hostile_fixtures import client
from tests.hostile_registry import QUICK, HostileRegistry, hostile_registry
from tests.image_maker import layer_of, push_image
from tests.registry_fixture import RunningRegistry, registry

__all__ = ["client", "registry"]


@pytest.fixture
async def liar() -> AsyncIterator[HostileRegistry]:
    async with hostile_registry() as liar:
        yield liar


async def an_image(client: RegistryClient, name: str) -> ImageKey:
    made = await push_image(client, parse_reference(name), [layer_of({"a": b"a" * 9000})])
    return ImageKey(name, made.digest)


@dataclass(frozen=True)
class Kept:
    """An image and where what is known of it is kept."""

    image: ImageKey
    store: ArtifactHotStore


@pytest.fixture(params=["a real registry", "the referrers API", "a directory"])
async def kept(
    client: RegistryClient,
    registry: RunningRegistry,
    liar: HostileRegistry,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Kept:
    """A registry that lists by a tag, one that has the API, and a directory without a registry."""
    if request.param == "a directory":
        image = ImageKey("r.example/a/b:1", digest_of(b"manifest"))
        return Kept(image, BlobHotStore(DirectoryBlobs(tmp_path / "store")))
    name = f"{liar.host}/a/b:1"
    if request.param == "a real registry":
        name = f"{registry.host}/t/{request.node.originalname.lower()}:1"
    return Kept(await an_image(client, name), RegistryHotStore(client))


@pytest.fixture
async def lied(client: RegistryClient, liar: HostileRegistry) -> ImageKey:
    return await an_image(client, f"{liar.host}/a/b:1")


async def test_published_records_are_read_back_newest_first(kept: Kept) -> None:
    image, store = kept.image, kept.store
    assert await store.records(image, "") == []
    for number in (1, 2, 3):
        await store.publish_record(image, record(image.manifest_digest, number))
    found = await store.records(image, "")
    assert created(found) == [3, 2, 1]
    assert encode(found[0]) == encode(record(image.manifest_digest, 3))


async def test_each_workload_has_records_of_its_own(kept: Kept) -> None:
    image, store = kept.image, kept.store
    for number, workload in enumerate(("", "train", "serve", "train")):
        made = record(image.manifest_digest, number, workload=workload)
        await store.publish_record(image, made)
    assert created(await store.records(image, "")) == [0]
    assert created(await store.records(image, "train")) == [3, 1]
    assert created(await store.records(image, "other")) == []


async def test_a_record_that_is_published_again_is_one_record(kept: Kept) -> None:
    image, store = kept.image, kept.store
    for _ in range(2):
        await store.publish_record(image, record(image.manifest_digest))
    listed = await store.place.list(image, HotKind.RECORDS, "")
    assert len(listed) == 1


async def test_of_several_packs_that_of_the_most_runs_and_then_the_newest_is_taken(
    kept: Kept, tmp_path: Path
) -> None:
    image, store = kept.image, kept.store
    assert await store.pack(image, "") is None
    sizes = {}
    for number, (runs, workload) in enumerate(((1, ""), (3, ""), (3, ""), (2, ""), (9, "train"))):
        pack = tmp_path / "pack"
        pack.write_bytes(b"p" * (1000 + number))
        await store.publish_pack(image, merged(image.manifest_digest, runs, workload), pack)
        sizes[number] = pack.stat().st_size
    chosen = await store.pack(image, "")
    assert chosen is not None
    assert (chosen.size, chosen.runs) == (sizes[2], 3)
    assert chosen.indexes == (f"sha256:{11:064x}", f"sha256:{12:064x}")
    other = await store.pack(image, "train")
    assert other is not None
    assert other.size == sizes[4]


async def test_a_pack_is_read_from_where_the_store_says(kept: Kept, tmp_path: Path) -> None:
    image, store = kept.image, kept.store
    data = random.Random(5).randbytes(3_500_000)
    pack = tmp_path / "pack"
    pack.write_bytes(data)
    await store.publish_pack(image, merged(image.manifest_digest, 1), pack)
    found = await store.pack(image, "")
    assert found is not None
    assert found.digest == digest_of(data)
    blobs = await store.blobs(image)
    assert await blobs.read(found.digest, 1_000_000, 50) == data[1_000_000:1_000_050]
    assert b"".join([piece async for piece in blobs.stream(found.digest, 7)]) == data[7:]


@pytest.mark.parametrize("where", ["a real registry", "a slow list"])
async def test_nodes_that_publish_at_once_lose_nothing(
    client: RegistryClient, registry: RunningRegistry, liar: HostileRegistry, where: str
) -> None:
    liar.referrers_api = False

    async def slow(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.StreamResponse:
        answer = await registry.honest(request)
        await asyncio.sleep(random.random() * 0.02)
        return answer

    liar.on("manifest", slow)
    host = registry.host if where == "a real registry" else liar.host
    image = await an_image(client, f"{host}/t/at_once:1")
    nodes = 10
    async with AsyncExitStack() as stack:
        settings = replace(QUICK, settle=0.2, retries=RetryPolicy())
        clients = [await stack.enter_async_context(RegistryClient(settings)) for _ in range(nodes)]
        async with asyncio.TaskGroup() as group:
            for number, node in enumerate(clients):
                made = record(image.manifest_digest, number)
                group.create_task(RegistryHotStore(node).publish_record(image, made))
    found = await RegistryHotStore(client).records(image, "")
    assert created(found) == list(range(nodes))[::-1]


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as unusable, a line each."""
    lines = []
    for entry in caplog.records:
        if entry.getMessage().endswith(".unusable"):
            fields = entry.fields  # type: ignore[attr-defined]
            lines.append(f"{entry.getMessage()}: {fields['reason']}")
    return lines


async def push_records(store: ArtifactHotStore, image: ImageKey, *blobs: bytes) -> str:
    """Publish an artifact whose records are any bytes."""
    kind = HotKind.RECORDS
    for blob in blobs:
        await store.place.put_blob(image, blob, digest_of(blob))
    artifact = HotArtifact(
        kind,
        await store.place.subject(image),
        dt.datetime(2090, 1, 1, tzinfo=dt.UTC),
        "",
        len(blobs),
        (),
        tuple(Descriptor(kind.blob_type, digest_of(blob), len(blob)) for blob in blobs),
    )
    return await store.place.publish(image, artifact)


async def test_broken_records_are_passed_over_with_a_line_each(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    image, store = kept.image, kept.store
    good = record(image.manifest_digest, 1)
    await store.publish_record(image, good)
    data = encode(good)
    newer = data[:8] + (VERSION + 1).to_bytes(4, "little") + data[12:]
    other_image = encode(record(digest_of(b"another image"), 2))
    other_workload = encode(record(image.manifest_digest, 3, workload="train"))
    await push_records(store, image, data[:-5], newer, other_image, other_workload, b"junk")
    caplog.clear()
    assert created(await store.records(image, "")) == [1]
    reasons = refusals(caplog)
    assert len(reasons) == 5
    for expected in ("its header says", "version 2", "it is of image", "'train'", "too few"):
        assert sum(expected in reason for reason in reasons) == 1


async def test_records_that_are_not_what_their_digest_says_are_passed_over(
    client: RegistryClient,
    liar: HostileRegistry,
    lied: ImageKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = RegistryHotStore(client)
    await store.publish_record(lied, record(lied.manifest_digest))
    liar.on("blob", hostile.other_bytes)
    assert await store.records(lied, "") == []
    assert len(refusals(caplog)) == 1


async def test_a_record_that_is_gone_is_passed_over(
    client: RegistryClient, liar: HostileRegistry, lied: ImageKey
) -> None:
    store = RegistryHotStore(client)
    await store.publish_record(lied, record(lied.manifest_digest, 1))
    await store.publish_record(lied, record(lied.manifest_digest, 2))
    del liar.blobs[digest_of(encode(record(lied.manifest_digest, 2)))]
    assert created(await store.records(lied, "")) == [1]


async def test_artifacts_of_another_image_and_lists_that_are_none_are_passed_over(
    client: RegistryClient,
    liar: HostileRegistry,
    lied: ImageKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = RegistryHotStore(client)
    digest = await push_records(store, lied, encode(record(lied.manifest_digest)))
    media_type, data = liar.manifests["a/b", digest]
    document = json.loads(data)
    document["annotations"][CREATED] = "never"
    broken = json.dumps(document).encode()
    liar.manifests["a/b", digest_of(broken)] = (media_type, broken)
    assert created(await store.records(lied, "")) == [0]
    assert len(refusals(caplog)) == 1
    liar.referrers_api = False
    liar.manifests["a/b", fallback_tag(lied.manifest_digest)] = (hostile.OCI_INDEX, b"[")
    assert await store.records(lied, "") == []
    assert await store.pack(lied, "") is None
    assert [line.split(":")[0] for line in refusals(caplog)[1:]] == ["hot.referrers.unusable"] * 2
    with pytest.raises(CorruptError):  # it would overwrite what it cannot read
        await store.publish_record(lied, record(lied.manifest_digest, 5))


async def test_no_more_records_are_read_than_can_be_merged(
    liar: HostileRegistry, lied: ImageKey
) -> None:
    async with RegistryClient(replace(QUICK, limits=Limits(hot_runs=3))) as client:
        store = RegistryHotStore(client)
        for number in range(5):
            await store.publish_record(lied, record(lied.manifest_digest, number))
        assert created(await store.records(lied, "")) == [4, 3, 2]
    async with RegistryClient(replace(QUICK, limits=Limits(hot_blocks=10))) as client:
        assert created(await RegistryHotStore(client).records(lied, "")) == [4, 3]


async def test_nothing_is_added_to_more_records_than_anybody_reads(
    liar: HostileRegistry, lied: ImageKey
) -> None:
    async with RegistryClient(replace(QUICK, limits=Limits(hot_artifacts=2))) as client:
        store = RegistryHotStore(client)
        for number in range(4):
            await store.publish_record(lied, record(lied.manifest_digest, number))
        await store.publish_record(lied, record(lied.manifest_digest, 9, workload="train"))
        assert created(await store.records(lied, "")) == [1, 0]
        assert created(await store.records(lied, "train")) == [9]


async def test_a_registry_that_cannot_say_is_an_error(
    client: RegistryClient, liar: HostileRegistry, lied: ImageKey
) -> None:
    store = RegistryHotStore(client)
    await store.publish_record(lied, record(lied.manifest_digest))
    liar.on("blob", hostile.answers(503))
    with pytest.raises(RemoteError):
        await store.records(lied, "")
    liar.on("referrers", hostile.answers(503))
    with pytest.raises(RemoteError):
        await store.pack(lied, "")


async def test_in_a_directory_other_bytes_than_the_names_say_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = ImageKey("r.example/a/b:1", digest_of(b"manifest"))
    store = BlobHotStore(DirectoryBlobs(tmp_path))
    for number in range(3):
        await store.publish_record(image, record(image.manifest_digest, number))
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    blobs = [path for path in files if path.parent.name == "blobs"]
    manifests = [path for path in files if path not in blobs]
    data = blobs[0].read_bytes()
    blobs[0].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    manifests[0].write_bytes(b"{}")
    manifests[0].with_name("no digest").write_bytes(b"{}")
    manifests[0].with_name("0" * 64).write_bytes(b"")
    found = await store.records(image, "")
    assert 1 <= len(found) <= 2  # one of three, or two if both were of the same one
    assert 2 <= len(refusals(caplog)) <= 3
    assert len(await store.stored(image)) == 2


async def test_in_a_directory_a_folder_that_is_too_full_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = ImageKey("r.example/a/b:1", digest_of(b"manifest"))
    for number in range(3):
        store = BlobHotStore(DirectoryBlobs(tmp_path))
        await store.publish_record(image, record(image.manifest_digest, number))
    full = BlobHotStore(DirectoryBlobs(tmp_path), Limits(hot_listed=2))
    assert await full.records(image, "") == []
    assert len(refusals(caplog)) == 1


async def test_the_configuration_names_the_place(client: RegistryClient, tmp_path: Path) -> None:
    async with open_hot_store("registry", client) as store:
        assert isinstance(store, RegistryHotStore)
    image = ImageKey("r.example/a/b:1", digest_of(b"manifest"))
    async with open_hot_store(f"file://{tmp_path}/a%20b", client) as store:
        await store.publish_record(image, record(image.manifest_digest))
    assert (tmp_path / "a b").is_dir()


async def test_a_place_in_hdfs_is_found_through_hadoops_configuration(
    client: RegistryClient, hdfs: Hdfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(hdfs.configuration))
    monkeypatch.setenv("HADOOP_USER_NAME", "tester")
    image = ImageKey("r.example/a/b:1", digest_of(b"manifest"))
    async with open_hot_store("hdfs:///hot", client) as store:
        await store.publish_record(image, record(image.manifest_digest))
    async with open_hot_store(hdfs.address("hot"), client) as store:
        assert len(await store.records(image, "")) == 1


@pytest.mark.parametrize(
    "place",
    ["", "/a", "file:a", "file://host/a", "file:///a/../b", "file:///a?b", "ftp://a/b", "file://["],
)
async def test_what_names_no_place_is_a_mistake(client: RegistryClient, place: str) -> None:
    with pytest.raises(UsageError, match="no store"):
        async with open_hot_store(place, client):
            pass
