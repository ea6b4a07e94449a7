"""What every place for files must do: the tests are run against each of them.

A test module that wants them imports them and has a fixture `store`: an empty `Store`.
"""

import asyncio
import errno
import random
from collections.abc import AsyncIterator, Awaitable

import pytest

from fuse_hdfs.stores.store import Store
from tests.counted_bytes import CountedBytes

DATA = random.Random(5).randbytes(3_000_017)


async def pieces(data: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(store: Store, path: str, data: bytes = b"data") -> None:
    await store.write(path, pieces(data))


async def number_of(work: Awaitable[object]) -> int | None:
    with pytest.raises(OSError, match="Errno") as caught:
        await work
    return caught.value.errno


async def test_what_was_written_is_read_back(store: Store) -> None:
    await put(store, "a/b/file", DATA)
    assert (await store.stat("a/b/file")).size == len(DATA)
    assert await store.read("a/b/file", 0, len(DATA)) == DATA
    assert await store.read("a/b/file", 1_000_000, 10) == DATA[1_000_000:1_000_010]


async def test_a_piece_that_was_written_is_let_go_before_the_next_is_waited_for(
    store: Store,
) -> None:
    async def watched() -> AsyncIterator[bytes]:
        for start in range(0, len(DATA), 1 << 20):
            yield CountedBytes(DATA[start : start + (1 << 20)])
            async with asyncio.timeout(60):
                while CountedBytes.alive:  # a thread lets go a moment after it has answered
                    await asyncio.sleep(0.001)

    await store.write("file", watched())
    assert await store.read("file", 0, len(DATA)) == DATA


async def test_a_range_past_the_end_is_cut_off(store: Store) -> None:
    await put(store, "file", b"12345")
    assert await store.read("file", 3, 100) == b"45"
    assert await store.read("file", 5, 100) == b""
    assert await store.read("file", 100, 1) == b""


async def test_an_empty_file_is_a_file(store: Store) -> None:
    await put(store, "empty", b"")
    assert (await store.stat("empty")).size == 0
    assert await store.read("empty", 0, 10) == b""


async def test_a_file_is_not_written_over_another(store: Store) -> None:
    await put(store, "file", b"first")
    assert await number_of(put(store, "file", b"second")) == errno.EEXIST
    assert await store.read("file", 0, 100) == b"first"


async def test_all_of_the_places_can_be_written_to(store: Store) -> None:
    for number, place in enumerate(await store.places()):
        await store.write(f"file{number}", pieces(DATA), place=place)
        assert await store.read(f"file{number}", 0, len(DATA)) == DATA


async def test_the_blocks_of_a_file_are_all_of_it_and_can_be_read_where_they_are(
    store: Store,
) -> None:
    await put(store, "file", DATA)
    blocks = await store.blocks("file")
    assert sum(block.length for block in blocks) in {0, len(DATA)}
    for block in blocks:
        assert block.places
        for place in (*block.places, None, *block.places):
            read = await store.read("file", block.offset, block.length, place=place)
            assert read == DATA[block.offset : block.offset + block.length]


async def test_many_files_at_once(store: Store) -> None:
    contents = [DATA[: 100_000 + number] for number in range(12)]
    async with asyncio.TaskGroup() as group:
        for number, content in enumerate(contents):
            group.create_task(put(store, f"d/{number}", content))
    found = await asyncio.gather(*(store.read(f"d/{n}", 0, 1 << 20) for n in range(12)))
    assert found == contents


async def test_what_a_directory_holds_is_listed_with_attributes(store: Store) -> None:
    await put(store, "d/file", DATA)
    await store.make_directory("d/sub", 0o750)
    await store.set_mode("d/file", 0o640)
    found = {status.name: status for status in await store.list("d")}
    assert set(found) == {"file", "sub"}
    assert (found["file"].size, found["file"].mode) == (len(DATA), 0o640)
    assert (found["sub"].directory, found["sub"].mode) == (True, 0o750)
    alone = await store.stat("d/file")
    assert (alone.mode, alone.size, alone.identity) == (0o640, len(DATA), found["file"].identity)
    assert await store.list("d/sub") == []
    assert "d" in {status.name for status in await store.list("")}
    assert (await store.stat("")).directory


async def test_names_of_all_kinds_come_back_as_they_were(store: Store) -> None:
    names = ["a b", "ä", "%41", "a+b", "a?b", "a&b=c", "#", "'", "~", "..a", "x" * 200]
    for name in names:
        await put(store, f"d/{name}")
    assert {status.name for status in await store.list("d")} == set(names)
    for name in names:
        assert (await store.stat(f"d/{name}")).name == name


async def test_a_rename_replaces_a_file_only_where_it_may(store: Store) -> None:
    await put(store, "old", b"old")
    await put(store, "new", b"new")
    assert await number_of(store.rename("old", "new", replace=False)) == errno.EEXIST
    assert await store.read("new", 0, 10) == b"new"
    await store.rename("old", "new", replace=True)
    assert await store.read("new", 0, 10) == b"old"
    assert await number_of(store.stat("old")) == errno.ENOENT
    await store.make_directory("d", 0o755)
    await store.rename("new", "d/moved", replace=False)
    assert await store.read("d/moved", 0, 10) == b"old"
    await store.rename("d", "e", replace=True)
    assert await store.read("e/moved", 0, 10) == b"old"


async def test_readers_see_the_old_file_or_the_new_never_neither(store: Store) -> None:
    await put(store, "file", b"0")
    done = False

    async def look() -> None:
        while not done:
            assert await store.read("file", 0, 10) in {str(n).encode() for n in range(9)}

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        for number in range(1, 9):
            await put(store, f"new{number}", str(number).encode())
            await store.rename(f"new{number}", "file", replace=True)
        done = True


async def test_an_identity_is_of_one_file(store: Store) -> None:
    seen = set()
    for number in range(5):
        await put(store, f"new{number}", b"same")
        await store.rename(f"new{number}", "file", replace=True)
        seen.add((await store.stat("file")).identity)
    assert len(seen) == 5


async def test_what_is_removed_is_gone(store: Store) -> None:
    await put(store, "d/file")
    assert await number_of(store.remove_directory("d")) == errno.ENOTEMPTY
    await store.remove("d/file")
    assert await number_of(store.remove("d/file")) == errno.ENOENT
    await store.remove_directory("d")
    assert await number_of(store.stat("d")) == errno.ENOENT


async def test_a_tree_is_removed_whole(store: Store) -> None:
    for name in ("t/a", "t/b/c", "t/b/d"):
        await put(store, name)
    await store.remove_tree("t")
    assert await number_of(store.stat("t")) == errno.ENOENT
    await store.remove_tree("t")


async def test_each_mistake_has_the_errno_of_its_system_call(store: Store) -> None:
    await put(store, "file")
    await store.make_directory("d", 0o755)
    assert await number_of(store.stat("none")) == errno.ENOENT
    assert await number_of(store.list("none")) == errno.ENOENT
    assert await number_of(store.read("none", 0, 1)) == errno.ENOENT
    assert await number_of(store.make_directory("d", 0o755)) == errno.EEXIST
    assert await number_of(store.make_directory("file", 0o755)) == errno.EEXIST
    assert await number_of(store.make_directory("none/d", 0o755)) == errno.ENOENT
    assert await number_of(store.rename("none", "other", replace=True)) == errno.ENOENT
    assert await number_of(store.rename("file", "none/file", replace=True)) == errno.ENOENT
    assert await number_of(store.rename("file", "d", replace=True)) == errno.EISDIR
    assert await number_of(store.remove("d")) == errno.EISDIR
    assert await number_of(store.remove_directory("file")) == errno.ENOTDIR
    assert await number_of(store.remove_directory("none")) == errno.ENOENT
    assert await number_of(store.set_mode("none", 0o600)) == errno.ENOENT
    assert await number_of(store.stat("file/below")) in (errno.ENOENT, errno.ENOTDIR)


async def test_a_time_that_was_set_is_there(store: Store) -> None:
    await put(store, "file")
    await store.set_modified("file", 1_500_000_000_123_000_000)
    assert (await store.stat("file")).modified_ns == 1_500_000_000_123_000_000


async def test_extended_attributes_come_back_and_move_with_their_file(store: Store) -> None:
    await put(store, "file")
    await store.make_directory("d", 0o755)
    values = {"user.text": b"text", "user.empty": b"", "user.bytes": bytes(range(256))}
    for path in ("file", "d"):
        assert await store.xattrs(path) == {}
        for name, value in values.items():
            await store.set_xattr(path, name, b"before")
            await store.set_xattr(path, name, value)
        assert await store.xattrs(path) == values
    await store.rename("file", "d/moved", replace=True)
    await store.remove_xattr("d/moved", "user.text")
    assert set(await store.xattrs("d/moved")) == {"user.empty", "user.bytes"}
    assert await number_of(store.remove_xattr("d/moved", "user.text")) == errno.ENODATA
    assert await number_of(store.set_xattr("d", "trusted.a", b"")) == errno.ENOTSUP
    assert await number_of(store.xattrs("none")) == errno.ENOENT
    assert await number_of(store.set_xattr("none", "user.a", b"")) == errno.ENOENT


async def test_there_is_some_room(store: Store) -> None:
    space = await store.space()
    assert 0 < space.free <= space.total


async def test_a_cancelled_write_is_over(store: Store) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(3600)

    writing = asyncio.create_task(store.write("file", endless()))
    await asyncio.sleep(0.2)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await put(store, "other")
    assert await store.read("other", 0, 10) == b"data"


async def test_a_write_whose_source_fails_raises_that(store: Store) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"first"
        raise OSError(errno.ENODATA, "no more")

    assert await number_of(store.write("file", failing())) == errno.ENODATA


async def test_a_file_is_read_as_long_as_it_is_the_one_that_was_meant(store: Store) -> None:
    await put(store, "file", b"first")
    first = await store.stat("file")
    assert await store.read("file", 1, 3, of=first) == b"irs"
    await put(store, "new", b"second")
    await store.rename("new", "file", replace=True)
    assert await number_of(store.read("file", 0, 5, of=first)) == errno.ESTALE
    second = await store.stat("file")
    assert await store.read("file", 0, 10, of=second) == b"second"
    await store.remove("file")
    assert await number_of(store.read("file", 0, 5, of=second)) == errno.ESTALE


async def test_what_is_given_whole_is_written(store: Store) -> None:
    for name, content in (("file", DATA), ("empty", b"")):
        await store.write(name, content)
        assert await store.read(name, 0, len(DATA)) == content
    assert await number_of(store.write("file", b"again")) == errno.EEXIST


async def test_a_mode_is_had_from_the_beginning_whatever_the_umask(store: Store) -> None:
    await store.write("file", pieces(b"data"), mode=0o666)
    assert (await store.stat("file")).mode == 0o666


async def test_a_directory_that_is_not_there_is_made_only_where_it_may(store: Store) -> None:
    assert await number_of(store.write("d/file", pieces(b""), parents=False)) == errno.ENOENT
    await store.write("d/file", pieces(b""))
    await store.write("d/other", pieces(b""), parents=False)
    await store.make_directories("e/f")
    await store.make_directories("e/f")
    await store.write("e/f/file", pieces(b""), parents=False)


async def test_a_label_changes_nothing_but_itself(store: Store) -> None:
    await put(store, "d/file", DATA)
    before = await store.stat("d/file")
    await store.set_label("d/file", (1 << 62) - 3)
    after = await store.stat("d/file")
    assert after.label in (0, (1 << 62) - 3)
    assert (after.identity, after.modified_ns) == (before.identity, before.modified_ns)
    assert await store.list("d") == [after]
    assert await store.read("d/file", 0, len(DATA)) == DATA
