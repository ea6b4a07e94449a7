"""Hot blocks of snapshots: in the store of the snapshot, shared, and gone with it."""

from pathlib import Path

from bootseer.blobs.directory import DirectoryBlobs
from bootseer.config import Registry
from depsnap.mounting.image import hot_folder
from depsnap.snapshots.library import Library
from snapshotter.dependencies.hot import Below, HotOfAll, address_in, reference_of
from snapshotter.dependencies.packs import opened_stores
from snapshotter.hotstore.blobs import BlobHotStore
from snapshotter.ports import ImageKey
from tests.unit.hotstore.hot_records import merged

DIGEST = f"sha256:{'7' * 64}"


def test_a_reference_names_the_store() -> None:
    assert address_in(reference_of("file:///a#b", "job")) == "file:///a#b"
    assert address_in("docker.io/library/busybox:latest") is None


async def test_a_folder_of_a_store_is_a_store(tmp_path: Path) -> None:
    whole = DirectoryBlobs(tmp_path)
    below = Below(whole, "hot")
    assert await below.put("a/b", b"content")
    assert not await below.put("a/b", b"other")
    assert await whole.read("hot/a/b", 0, 7) == b"content"
    assert await below.read("a/b", 1, 2) == b"on"
    assert [piece async for piece in below.stream("a/b", 5)] == [b"nt"]
    assert await below.size("a/b") == 7
    assert [one.name for one in await below.list("a", 10)] == ["a/b"]
    assert [one.name for one in await below.list("", 10)] == ["a/b"]
    assert await below.delete("a/b")
    assert await below.list("", 10) == []


async def test_snapshots_have_records_and_packs_beside_them(tmp_path: Path) -> None:
    images = BlobHotStore(DirectoryBlobs(tmp_path / "images"))
    image = ImageKey(reference_of(f"file://{tmp_path}/store", "job"), DIGEST)
    (tmp_path / "pack").write_bytes(b"what a pack holds")
    async with opened_stores(5.0, Registry()) as stores:
        hot = HotOfAll(images, stores)
        assert await hot.records(image, "") == []
        assert await hot.stored(image) == []
        assert await hot.pack(image, "") is None
        await hot.publish_pack(image, merged(DIGEST, 1), tmp_path / "pack")
        pack = await hot.pack(image, "")
        assert pack is not None
        blobs = await hot.blobs(image)
        assert await blobs.read(pack.digest, 5, 6) == b"a pack"
    assert list((tmp_path / "store" / hot_folder(DIGEST)).glob("packs/*/*"))
    assert not (tmp_path / "images").exists()


async def test_hot_blocks_of_no_snapshot_are_collected(tmp_path: Path) -> None:
    store = DirectoryBlobs(tmp_path)
    name = f"{hot_folder(DIGEST)}/records/{'1' * 64}/{'2' * 64}"
    await store.put(name, b"a record")
    assert await Library(store).unnamed((), 1e12) == [(name, 8)]
