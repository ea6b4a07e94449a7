"""Changes to one file that are not published yet.

A draft is in one of three states, and only goes from one to a later one:

- *small*: all of the file is in memory, and is published as a plain file;
- *streaming*: writes follow each other; units go to a segment's stripes as they fill up;
- *spooled*: what changed is in whole units in a local file; the rest is in the base.

What is in memory is bounded over all drafts of a volume (`Volume.drafted`): a draft that finds no
room there in a while is spooled, so none waits for what an idle one has.

The *base* is what lies under the changes: the manifest that the draft began with, and segments that
it has written since, which nobody else knows.

Concurrency: its owner (`OpenFile`) calls one method at a time. A method that fails or is cancelled
may leave the draft without some of the bytes of that write, as write(2) may; `publish` that fails
leaves everything to be published again, except that a stream that broke is lost: then every later
call raises the same error, so that nobody takes a file with a gap for a good one. What `publish`
returns names stripes that may still be on their way: `stored` comes before anybody reads them.
"""

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from fuse_hdfs import limits
from fuse_hdfs.files.gathered import Gathered
from fuse_hdfs.files.reading import Found, StripedReader, reader_of
from fuse_hdfs.files.runs import runs
from fuse_hdfs.files.spool import Spool
from fuse_hdfs.files.version import Version
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import SegmentWriter
from fuse_hdfs.striping.layout import Manifest, Segment, pieces, resized, spliced, units_of

T = TypeVar("T")

_PATIENCE_S: Final = 1.0
"""How long to wait for others to fill the units that take the memory."""
COMPACT: Final = 64
"""Segments from which on a file is written anew, whole, at its next publication."""


class _Stream:
    """Units that follow each other, on their way to a new segment."""

    def __init__(self, writer: SegmentWriter, first: int, tail: bytes) -> None:
        self.writer = writer
        self.first = first
        """Number of the first unit."""
        self.tail = Gathered(tail)
        """What does not fill a unit yet."""


class Draft:
    """What one file will be."""

    def __init__(
        self, volume: Volume, spool_directory: Path, path: Callable[[], str], version: Version
    ) -> None:
        """Begin with a version of the file at `path`; call `open` before anything else."""
        self._volume = volume
        self._directory = spool_directory
        self._version = version
        self._path = path
        self._layout = volume.settings.layout(path())
        self._base = version.manifest or Manifest(self._layout.striping.unit, 0)
        self._small: bytearray | None = None
        self._stream: _Stream | None = None
        self._spool: Spool | None = None
        self._ending: SegmentWriter | None = None
        """Of a segment in the base whose stripes are being closed."""
        self._charged = 0
        """Bytes of the volume's room for drafts that are ours."""
        self._refused = False
        """There was no room for us."""
        self._broken: OSError | None = None
        self._own: dict[str, Segment] = {}
        self.size = version.size
        """Bytes."""

    @property
    def _unit(self) -> int:
        return self._base.unit

    async def open(self, *, truncate: bool, content: bytes | None = None) -> None:
        """Take over what the file has, or nothing of it; `content` is that, where it is known."""
        if truncate:
            self.size, self._small = 0, bytearray()
            self._base = Manifest(self._layout.striping.unit, 0)
        elif content is not None:
            await self._hold(content)
        elif self._version.manifest is None:
            await self._take_over_plain()

    async def write(self, offset: int, data: bytes) -> None:
        """Write at any place. OSError: ENOSPC, EDQUOT, EIO, ETIMEDOUT, EFBIG ..."""
        end = offset + len(data)
        self._check(end)
        if self._stays_small(end) and await self._has_room(end):
            self._write_small(offset, data)
        else:
            await self._leave_small()
            if await self._streams_to(offset) and await self._has_room(self._unit):
                await self._feed(data)
            else:
                await self._settle()
                await self._write_spool(offset, data)
        self.size = max(self.size, end)

    async def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file with all changes; fewer only at its end."""
        self._check()
        length = max(0, min(length, self.size - offset))
        if self._small is not None:
            return bytes(self._small[offset : offset + length])
        stream = self._stream
        if stream is not None and offset + length > stream.first * self._unit:
            await self._settle()
        reader = StripedReader(self._volume.contents, resized(self._base, self.size))
        parts: list[Found] = []
        for piece in pieces(offset, length, self._unit):
            if self._spool is not None and piece.unit in self._spool.numbers:
                parts.append(await self._spool.read(piece.unit, piece.start, piece.length))
            else:
                start = piece.unit * self._unit + piece.start
                parts.append(await reader.read(start, piece.length))
        return b"".join(parts)

    async def resize(self, size: int) -> None:
        """Cut the file, or let it grow by zeros. OSError as `write`."""
        self._check(size)
        if self._stays_small(size) and await self._has_room(size):
            if self._small is not None:
                del self._small[size:]
                self._small.extend(bytes(size - len(self._small)))
            self.size = size
            return
        await self._leave_small()
        if size < self.size or self._stream is not None:
            await self._settle()
        number, start = divmod(size, self._unit)
        if size < self.size and start:
            await self._to_spool(number)
            if self._spool is not None:
                await self._spool.write(number, start, bytes(self._unit - start))
        if self._spool is not None:
            self._spool.forget_from(units_of(size, self._unit))
        self._base = resized(self._base, size)
        self.size = size

    async def publish(self) -> bytes | Manifest:
        """Write what is not written yet; return what the file is to be, once it is `stored`."""
        self._check()
        if self._small is not None:
            if self._volume.is_plain(self._path(), self._small):
                return bytes(self._small)
            await self._leave_small()
        await self._end_stream()
        if (content := await self._small_in_spool()) is not None:
            return content
        numbers = self._to_write()
        if numbers:
            await self.stored()
            writer = self._writer()
            await self._guarded(self._write_units(writer, numbers), writer)
            self._add(await self._guarded(writer.finish(), writer), numbers)
            self._drop_spool()
        self._base = resized(self._base, self.size)
        return self._base if self.size else b""

    async def stored(self) -> None:
        """Wait until all stripes survive a crash. OSError: they are lost, and the draft with them.

        What closing them takes, a store spends waiting: there is time to write what names them.
        """
        writer, self._ending = self._ending, None
        if writer is not None:
            await self._guarded(writer.finish(), writer, lost=True)

    def published(self) -> list[Segment]:
        """Return what is not needed any more now that the base is published; the draft is over."""
        self._drop_spool()
        self._give_room()
        named = {segment.id for segment in self._base.segments} if self._small is None else set()
        old = self._version.manifest.segments if self._version.manifest else ()
        return [one for one in (*old, *self._own.values()) if one.id not in named]

    async def abandon(self) -> None:
        """Give up all changes, and remove what was written for them."""
        self._drop_spool()
        self._give_room()
        writer = self._ending if self._stream is None else self._stream.writer
        self._stream = self._ending = None
        if writer is not None:
            await writer.abandon()
        await self._volume.discard(self._own.values())

    # States

    async def _take_over_plain(self) -> None:
        """Hold a small file in memory; stripe a large one that another tool wrote."""
        reader = reader_of(self._volume, self._version, self._path)
        if self.size <= self._layout.small:
            await self._hold(bytes(await reader.read(0, self.size)))
            return
        await self._has_room(self._unit)  # without, it is one unit more for a while
        writer = self._writer()
        self._stream = _Stream(writer, 0, b"")
        for piece in pieces(0, self.size, self._unit):
            start = piece.unit * self._unit
            await self._feed(bytes(await reader.read(start, piece.length)))

    async def _hold(self, content: bytes) -> None:
        """Begin with the contents of a small file."""
        if await self._has_room(len(content)):
            self._small = bytearray(content)
        else:
            await self._write_spool(0, content)

    def _stays_small(self, end: int) -> bool:
        return self._small is not None and end <= self._layout.small

    def _write_small(self, offset: int, data: bytes) -> None:
        small = self._small
        if small is None:
            raise AssertionError("not small")
        small.extend(bytes(max(0, offset + len(data) - len(small))))
        small[offset : offset + len(data)] = data

    async def _leave_small(self) -> None:
        content, self._small = self._small, None
        if content is None:
            return
        self._give_room()
        if content and await self._has_room(self._unit):
            self._stream = _Stream(self._writer(), 0, b"")
            await self._feed(bytes(content))
        elif content:
            await self._write_spool(0, bytes(content))

    async def _has_room(self, size: int) -> bool:
        """Say whether we may have so many bytes in memory; not any more once we may not."""
        more = size - self._charged
        if more > 0 and not self._refused:
            if await self._volume.drafted.take_within(more, _PATIENCE_S):
                self._charged += more
            else:
                self._refused = True
        return self._charged >= size

    def _give_room(self) -> None:
        size, self._charged = self._charged, 0
        self._volume.drafted.give(size)

    async def _streams_to(self, offset: int) -> bool:
        """Say whether a write at `offset` goes on with a stream, or begins one."""
        stream = self._stream
        if stream is not None:
            return offset == self._front(stream)
        number, start = divmod(offset, self._unit)
        if self._spool is not None or (start and offset != self.size):
            return False
        tail = (await self._base_unit(number))[:start] if start else b""
        self._stream = _Stream(self._writer(), number, tail)
        return True

    def _front(self, stream: _Stream) -> int:
        return (stream.first + stream.writer.units) * self._unit + len(stream.tail)

    async def _feed(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            raise AssertionError("no stream")
        rest = memoryview(data)
        while rest:
            part = rest[: self._unit - len(stream.tail)]
            stream.tail.add(data if len(part) == len(data) else bytes(part))
            rest = rest[len(part) :]
            if len(stream.tail) == self._unit:
                adding = stream.writer.add(stream.tail.take())
                await self._guarded(adding, stream.writer, lost=True)
        if not stream.tail:
            self._give_room()  # others come in between, and have theirs filled too

    async def _end_stream(self) -> None:
        """Close a stream; its tail is the segment's last unit if the file ends there."""
        stream = self._stream
        if stream is not None and stream.tail and self._front(stream) == self.size:
            adding = stream.writer.add(stream.tail.take())
            await self._guarded(adding, stream.writer, lost=True)
        await self._leave_stream()

    async def _settle(self) -> None:
        """Leave the streaming state, with all stripes stored."""
        await self._leave_stream()
        await self.stored()

    async def _leave_stream(self) -> None:
        """Leave the streaming state: units become part of the base, the tail goes to the spool."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        writer = stream.writer
        if writer.units:
            self._ending = writer
            self._add(writer.segment(), range(stream.first, stream.first + writer.units))
        if stream.tail:
            start = (stream.first + writer.units) * self._unit
            spooling = self._write_spool(start, b"".join(stream.tail.take()))
            await self._guarded(spooling, writer, lost=True)
        self._give_room()

    def _add(self, segment: Segment, numbers: "range | list[int]") -> None:
        self._own[segment.id] = segment
        self._base = spliced(self._base, segment, numbers, self.size)

    # The spool

    async def _write_spool(self, offset: int, data: bytes) -> None:
        at = 0
        for piece in pieces(offset, len(data), self._unit):
            if piece.length < self._unit:
                await self._to_spool(piece.unit)
            part = memoryview(data)[at : at + piece.length]
            await self._opened().write(piece.unit, piece.start, part)
            at += piece.length

    async def _to_spool(self, number: int) -> None:
        """Bring a unit into the spool, as it is now."""
        spool = self._opened()
        if number in spool.numbers:
            return
        if StripedReader(self._volume.contents, self._base).place(number) is None:
            spool.blank(number)
        else:
            await spool.write(number, 0, await self._base_unit(number))

    def _opened(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(self._directory, self._unit)
        return self._spool

    def _drop_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _writer(self) -> SegmentWriter:
        return self._volume.writer(self._path(), self._unit)

    async def _base_unit(self, number: int) -> bytes:
        return await StripedReader(self._volume.contents, self._base).unit(number)

    # Publishing

    def _to_write(self) -> list[int]:
        """Return the units that a last segment has to hold, in order."""
        spooled = self._spool.numbers if self._spool is not None else set()
        if self._layout.striping.stripes == 1:
            # One stripe is a plain file, as long as all of it was written in one go.
            found = runs(resized(self._base, self.size))
            if spooled or isinstance(found, str) or len(found) > 1:
                return list(range(units_of(self.size, self._unit)))
            return []
        extents = len(self._base.extents) + 2 * len(spooled)
        if len(self._base.segments) < COMPACT and extents < limits.EXTENTS:
            return sorted(spooled)
        reader = StripedReader(self._volume.contents, self._base)
        units = range(units_of(self.size, self._unit))
        return [one for one in units if one in spooled or reader.place(one) is not None]

    async def _small_in_spool(self) -> bytes | None:
        """Return a small file that is in the spool only because there was no room for it."""
        if self._spool is None or self._base.segments or self.size > self._layout.small:
            return None
        self._refused = False
        content = await self.read(0, self.size) if await self._has_room(self.size) else b""
        return content if content and self._volume.is_plain(self._path(), content) else None

    async def _write_units(self, writer: SegmentWriter, numbers: list[int]) -> None:
        spool = self._spool
        for number in numbers:
            length = min(self._unit, self.size - number * self._unit)
            await writer.reserve(length)
            if spool is not None and number in spool.numbers:
                unit = await spool.read(number, 0, length)
            else:
                unit = (await self._base_unit(number))[:length]
            await writer.add((unit,))
            del unit  # see `views.Pieces`

    def _check(self, size: int = 0) -> None:
        if size > limits.UNITS * self._unit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), self._path())
        if self._broken is not None:
            number = self._broken.errno or errno.EIO
            raise OSError(number, os.strerror(number), self._path()) from self._broken

    async def _guarded(self, work: Awaitable[T], writer: SegmentWriter, *, lost: bool = False) -> T:
        """Wait for the store; when it fails a segment is gone, and the file if that is `lost`."""
        try:
            return await work
        except BaseException as error:
            if lost:
                self._broken = error if isinstance(error, OSError) else OSError(errno.EIO, "broken")
            self._stream = None
            self._give_room()
            await writer.abandon()
            raise
