"""Bytes that are read into the page cache ahead, by a process of its own."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from snapshotter.blocks.pagecache import PageCache, available
from snapshotter.blocks.readahead import read_ahead

SIZE = 3 << 20
RICH = "MemTotal: 9 kB\nMemAvailable:  4194304 kB\n"
POOR = "MemAvailable:  1000 kB\n"


def uncached(path: Path) -> Path:
    """Make a file of which nothing is in the page cache, where its file system can do that."""
    path.write_bytes(os.urandom(SIZE))
    number = os.open(path, os.O_RDONLY)
    os.fsync(number)
    os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(number)
    return path


def is_cached(path: Path, offset: int, length: int) -> bool:
    """Say whether bytes can be read without waiting for a disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(number, [bytearray(length)], offset, os.RWF_NOWAIT) == length
    except BlockingIOError:
        return False
    finally:
        os.close(number)


def opened_below(directory: Path) -> int:
    """Return how many files of a directory this process has open."""
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(path.parent == directory for path in links)


async def until_cached(path: Path, offset: int, length: int) -> None:
    async with asyncio.timeout(20):
        while not is_cached(path, offset, length):
            await asyncio.sleep(0.01)


async def test_what_is_asked_for_comes_into_the_page_cache(tmp_path: Path) -> None:
    path = uncached(tmp_path / "a file")
    (tmp_path / "meminfo").write_text(RICH)
    cache = PageCache(tmp_path, tmp_path / "meminfo")
    async with cache.running():
        assert cache.read_soon("a file that is not there", 0, 4096)
        assert cache.read_soon(path.name, 1 << 20, 1 << 20)
        await until_cached(path, 1 << 20, 1 << 20)


async def test_nothing_is_asked_for_when_memory_is_short_or_the_process_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "meminfo").write_text(POOR)
    cache = PageCache(tmp_path, tmp_path / "meminfo")
    async with cache.running():
        assert not cache.read_soon("file", 0, 1000)
    (tmp_path / "meminfo").write_text(RICH)
    cache = PageCache(tmp_path, tmp_path / "meminfo")
    assert not cache.read_soon("file", 0, 1000)
    async with cache.running():
        assert cache.read_soon("file", 0, 1000)
    assert not cache.read_soon("file", 0, 1000)
    assert (cache.counters.stored_bytes, cache.counters.refused_bytes) == (1000, 2000)


def test_files_that_are_not_there_are_passed_over_and_few_are_kept_open(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}" for number in range(20)]
    for path in paths[1:]:
        path.write_bytes(bytes(10))
    held = []

    def lines() -> Iterator[bytes]:
        for path in paths:
            yield b"%s 0 10\n" % os.fsencode(path)
            held.append(opened_below(tmp_path))

    read_ahead(lines())
    assert held[:3] == [0, 1, 2]
    assert max(held) == 8
    assert opened_below(tmp_path) == 0


def test_memory_that_is_not_told_is_none() -> None:
    assert available(RICH) == 4 << 30
    assert available("MemFree: 5 kB\n") == available("MemAvailable: much\n") == 0
