"""What goes past the page cache, on a file system that is known to have O_DIRECT."""

import ctypes
import mmap
import os
from pathlib import Path

import pytest
from small_disk import small_disk

from benchmarks.lab.workdir import work_directory
from snapshotter.chunks.descriptor import Descriptor
from snapshotter.chunks.past_cache import PastCache

pytestmark = pytest.mark.containers

UNIT = max(4096, mmap.PAGESIZE)
SIZE = 8 * UNIT


def _resident(path: Path) -> int:
    """Return the bytes of a file that are in the page cache: mincore(2), as reads read ahead."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), SIZE) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        pages = ctypes.create_string_buffer(SIZE // mmap.PAGESIZE)
        library = ctypes.CDLL(None, use_errno=True)
        found = library.mincore(ctypes.c_void_p(ctypes.addressof(first)), SIZE, pages)
        assert not found, os.strerror(ctypes.get_errno())
        del first  # or the mapping cannot be closed
        return sum(page & 1 for page in pages.raw) * mmap.PAGESIZE


def test_whole_blocks_leave_the_page_cache_alone() -> None:
    with work_directory() as work, small_disk(work, 16) as disk:
        path = disk / "data"
        descriptor = Descriptor(os.open(path, os.O_RDWR | os.O_CREAT))
        os.truncate(path, SIZE)
        past = PastCache(path, descriptor)
        past.write(UNIT, [os.urandom(4 * UNIT)])
        assert not _resident(path)
        path.write_bytes(bytes(SIZE))
        assert _resident(path) == SIZE, "what is written the usual way is there"
        past.write(UNIT, [os.urandom(4 * UNIT)])
        assert _resident(path) <= SIZE - 4 * UNIT
        past.close()
        descriptor.close()
