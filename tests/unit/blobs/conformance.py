"""What every place for objects must do: the tests are run against each of them.

A test module that wants them imports them and has a fixture `store`: an empty `BlobStore`.
"""

import asyncio
import random
from pathlib import Path

import pytest

from bootseer.blobs.store import PIECE, BlobStore
from bootseer.errors import CorruptError, NotFoundError, UsageError

DATA = random.Random(3).randbytes(2 * PIECE + 12_345)


async def whole(store: BlobStore, name: str, offset: int = 0) -> bytes:
    pieces = [piece async for piece in store.stream(name, offset)]
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


async def test_what_was_put_is_read_back(store: BlobStore) -> None:
    assert await store.put("a/b/c", DATA)
    assert await store.size("a/b/c") == len(DATA)
    assert await store.read("a/b/c", 0, len(DATA)) == DATA
    assert await store.read("a/b/c", PIECE - 5, 10) == DATA[PIECE - 5 : PIECE + 5]
    assert await store.read("a/b/c", len(DATA), 0) == b""
    assert await whole(store, "a/b/c") == DATA
    assert await whole(store, "a/b/c", PIECE + 1) == DATA[PIECE + 1 :]
    assert await whole(store, "a/b/c", len(DATA)) == b""


async def test_a_file_is_put_as_its_bytes(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    assert await store.put("file", source)
    assert await whole(store, "file") == DATA


async def test_an_empty_object_is_an_object(store: BlobStore) -> None:
    assert await store.put("empty", b"")
    assert await store.size("empty") == 0
    assert await whole(store, "empty") == b""
    assert [one.name for one in await store.list("", 10)] == ["empty"]


async def test_an_object_never_changes(store: BlobStore) -> None:
    assert await store.put("a", b"first")
    assert not await store.put("a", b"second, longer")
    assert not await store.put("a", b"first")
    assert await whole(store, "a") == b"first"


async def test_of_many_that_put_at_once_one_wins_and_all_of_it_is_there(store: BlobStore) -> None:
    contents = [bytes([n]) * (200_000 + n) for n in range(6)]
    won = await asyncio.gather(*(store.put("raced", content) for content in contents))
    assert won.count(True) == 1
    assert await whole(store, "raced") == contents[won.index(True)]
    assert [one.name for one in await store.list("", 10)] == ["raced"]


async def test_nobody_sees_a_part_of_an_object(store: BlobStore) -> None:
    async def look() -> None:
        while (size := await store.size("large")) is None:
            assert {one.size for one in await store.list("", 10)} <= {len(DATA)}
        assert size == len(DATA)
        assert await whole(store, "large") == DATA

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(look())
        group.create_task(store.put("large", DATA))


async def test_a_put_that_is_cancelled_leaves_nothing_or_all(store: BlobStore) -> None:
    for rounds in range(4):
        task = asyncio.create_task(store.put(f"cancelled{rounds}", DATA))
        await asyncio.sleep(0.004 * rounds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for one in await store.list("", 10):
        assert await whole(store, one.name) == DATA


async def test_lists_are_by_name_below_a_prefix_and_end_somewhere(store: BlobStore) -> None:
    for name in ("b/2", "b/1/x", "b.txt", "a", "bb/1"):
        await store.put(name, name.encode())
    assert [(one.name, one.size) for one in await store.list("b", 10)] == [("b/1/x", 5), ("b/2", 3)]
    names = [one.name for one in await store.list("", 10)]
    assert names == ["a", "b.txt", "b/1/x", "b/2", "bb/1"]
    assert await store.list("none", 10) == []
    assert await store.list("a", 10) == []
    with pytest.raises(CorruptError, match="more than 3"):
        await store.list("", 3)


async def test_a_list_says_when_objects_came(store: BlobStore) -> None:
    await store.put("first", b"1")
    await asyncio.sleep(0.05)
    await store.put("second", b"2")
    first, second = await store.list("", 10)
    assert 1_600_000_000 < first.modified < second.modified


async def test_a_deleted_object_is_gone_and_its_name_can_be_used_again(store: BlobStore) -> None:
    await store.put("a/b", b"first")
    assert await store.delete("a/b")
    assert not await store.delete("a/b")
    assert await store.size("a/b") is None
    assert await store.put("a/b", b"second")
    assert await whole(store, "a/b") == b"second"


@pytest.mark.parametrize("name", ["none", "none/at/all", "there/below", "directory"])
async def test_what_is_not_there_is_not_found(store: BlobStore, name: str) -> None:
    await store.put("there", b"data")
    await store.put("directory/object", b"data")
    assert await store.size(name) is None
    with pytest.raises(NotFoundError):
        await store.read(name, 0, 1)
    with pytest.raises(NotFoundError):
        await whole(store, name)


async def test_a_range_past_the_end_is_an_error(store: BlobStore) -> None:
    await store.put("short", b"12345")
    for offset, length in ((0, 6), (5, 1), (100, 1)):
        with pytest.raises(CorruptError):
            await store.read("short", offset, length)


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        ".hidden",
        "a/.b",
        "a b",
        "a\0b",
        "a:b",
        "\u00e4",
        "x" * 201,
    ],
)
async def test_names_that_some_place_cannot_hold_are_refused_everywhere(
    store: BlobStore, name: str
) -> None:
    with pytest.raises(UsageError):
        await store.put(name, b"")
    with pytest.raises(UsageError):
        await store.read(name, 0, 1)
    with pytest.raises(UsageError):
        await store.list(name, 1)
