"""A tree's contents into files below a directory that nobody looks at yet.

Directories first, by one process; then frames, each read, checked and unpacked by whichever of some
processes is free; then links; last of all what unpacking itself changes: times and modes of large
files and of directories. Two processes write into one file only at different offsets.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate
from typing import Final

import zstandard

from bootseer.blobs.store import BlobStore
from bootseer.errors import CorruptError
from bootseer.write_all import write_all
from depsnap.packing.stamps import LENGTH, OFFSET, stamp_bytes
from depsnap.pool import by_size, ignore, shared_out
from depsnap.restore.making import (
    Destination,
    dress,
    exact_modes,
    finish_directories,
    make_directories,
    make_links,
)
from depsnap.snapshots.names import pack_name
from depsnap.snapshots.places import Place, open_store
from depsnap.tree.entries import Entry, Kind, Tree, parent
from depsnap.tree.placement import Placed, frame_of_each

_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_PART: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


Wanted = Callable[[Entry], bool]
"""Says whether an entry is to be made."""


def _everything(_entry: Entry) -> bool:
    return True


def unpack(
    tree: Tree,
    place: Place,
    to: Destination,
    workers: int,
    wanted: Wanted = _everything,
    more: Callable[[int], None] = ignore,
) -> None:
    """Make everything in a tree but its deletions. What is there already is an error.

    With `wanted` only some of it; directories are wanted that hold what is. `more` hears of bytes
    that are being unpacked.

    Raises:
        CorruptError: a pack has other bytes than the tree says.
        NotFoundError: a pack is gone.
        RemoteError, HostError: the store cannot be read.
        OSError: something cannot be written.
    """
    entries = [entry for entry in tree.entries if wanted(entry)]
    with exact_modes():
        make_directories(entries, to)
        _empty_files(entries, to)
        frames = _frames_of(tree, wanted)
        sizes = [tree.packs[placed.pack].frames[placed.frame].raw for placed in frames]
        start = partial(_unpacking, tree, place, to, wanted)
        shared_out(start, frames, workers, by_size(sizes, more))
        make_links(entries, to)
        _finish_large(tree, entries, to)
        finish_directories(entries, to)


def _frames_of(tree: Tree, wanted: Wanted) -> list[Placed]:
    """Return the frames that hold something wanted."""
    packed = [entry.pack for entry in tree.entries]
    stored = [entry.stored for entry in tree.entries]
    return [
        placed
        for placed in frame_of_each(tree.packs, packed, stored)
        if any(wanted(tree.entries[row]) for row in placed.files)
    ]


def _empty_files(entries: Iterable[Entry], to: Destination) -> None:
    """Make the files that no frame makes: those without contents."""
    for entry in entries:
        if entry.kind is Kind.FILE and entry.pack < 0:
            descriptor = os.open(to.place(entry.path), _WRITE, entry.mode)
            try:
                os.ftruncate(descriptor, entry.size)
                dress(descriptor, entry, to)
            finally:
                os.close(descriptor)


def _finish_large(tree: Tree, entries: Iterable[Entry], to: Destination) -> None:
    """Set what could not be set before of files in several frames."""
    for entry in entries:
        if entry.pack >= 0 and tree.packs[entry.pack].single:
            descriptor = os.open(to.place(entry.path), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.ftruncate(descriptor, entry.size)
                os.fchmod(descriptor, entry.mode)
                dress(descriptor, entry, to)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def _unpacking(
    tree: Tree, place: Place, to: Destination, wanted: Wanted
) -> Iterator[Callable[[Placed], None]]:
    """What one process needs: a store, a decompressor, and a loop to wait for the store in."""
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        store = runner.run(stack.enter_async_context(open_store(place)))
        one = _Unpacker(tree, to, store, runner, wanted)
        try:
            yield one.frame
        finally:
            one.close()
            runner.run(stack.aclose())


class _Unpacker:
    """Unpacks frames, one after the other. It keeps the directory open that it wrote to last."""

    def __init__(
        self,
        tree: Tree,
        to: Destination,
        store: BlobStore,
        runner: asyncio.Runner,
        wanted: Wanted,
    ) -> None:
        self._tree = tree
        self._wanted = wanted
        self._to = to
        self._store = store
        self._runner = runner
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._directory = ""
        self._descriptor = -1

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def frame(self, placed: Placed) -> None:
        """Read, check and unpack a frame."""
        pack = self._tree.packs[placed.pack]
        frame = pack.frames[placed.frame]
        name = pack_name(pack.digest)
        # Not `Runner.run`, which formats its result when it takes its signal handler away.
        loop = self._runner.get_loop()
        stored = loop.run_until_complete(self._store.read(name, placed.offset, frame.stored))
        content = memoryview(self._checked(name, stored, frame.digest, frame.raw))
        entries = [self._tree.entries[row] for row in placed.files]
        if pack.single:
            for entry in filter(self._wanted, entries):
                self._part(entry, placed.start, content)
            return
        ends = list(accumulate(entry.stored for entry in entries))
        for entry, end in zip(entries, ends, strict=True):
            if self._wanted(entry):
                self._whole(entry, content[end - entry.stored : end])

    def _checked(self, name: str, stored: bytes, digest: str, size: int) -> bytes:
        if hashlib.sha256(stored).hexdigest() != digest:
            raise CorruptError(f"{name} has other bytes than its snapshot says")
        try:
            content = self._decompressor.decompress(
                stored, max_output_size=size, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise CorruptError(f"{name} holds a frame that cannot be unpacked") from error
        if len(content) != size:
            raise CorruptError(f"{name} holds {len(content)} bytes where {size} are said")
        return content

    def _whole(self, entry: Entry, content: memoryview) -> None:
        """Write a file that lies in one frame."""
        name = entry.path.rpartition("/")[2]
        descriptor = os.open(name, _WRITE, entry.mode, dir_fd=self._in(parent(entry.path)))
        try:
            if entry.extents is not None:
                _write_extents(descriptor, entry, 0, content)
                os.ftruncate(descriptor, entry.size)
            elif entry.stamp >= 0:
                write_all(descriptor, 0, _stamped(content, entry.stamp))
            else:
                write_all(descriptor, 0, content)
            dress(descriptor, entry, self._to)
        finally:
            os.close(descriptor)

    def _part(self, entry: Entry, start: int, content: memoryview) -> None:
        """Write a part of a file that lies in several frames."""
        name = entry.path.rpartition("/")[2]
        if start == 0 and entry.stamp >= 0:
            content = _stamped(content, entry.stamp)
        descriptor = os.open(name, _PART, 0o600, dir_fd=self._in(parent(entry.path)))
        try:
            _write_extents(descriptor, entry, start, content)
        finally:
            os.close(descriptor)

    def _in(self, directory: str) -> int:
        if self._descriptor < 0 or directory != self._directory:
            self.close()
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._to.place(directory), flags)
            self._directory = directory
        return self._descriptor


def _stamped(content: memoryview, stamp: int) -> memoryview:
    whole = bytearray(content)
    whole[OFFSET : OFFSET + LENGTH] = stamp_bytes(stamp)
    return memoryview(whole)


def _write_extents(descriptor: int, entry: Entry, start: int, content: memoryview) -> None:
    """Write contents that begin `start` bytes into what the pack holds of a file."""
    position = 0
    extents = entry.extents if entry.extents is not None else ((0, entry.size),)
    for offset, length in extents:
        skip = max(0, start - position)
        piece = content[: max(0, length - skip)]
        write_all(descriptor, offset + skip, piece)
        content, start = content[len(piece) :], start + len(piece)
        position += length
