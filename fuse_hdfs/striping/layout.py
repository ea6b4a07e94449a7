"""Records of a striped file and the arithmetic on them. Pure.

A file is a row of *units* of one size. *Segments* hold units: each was written in one go, never
changes, and is spread round-robin over its stripes. *Extents* say which units of which segment make
up the file; an extent without a segment is a hole, which reads as zeros. A file that was written
from beginning to end is one segment and one extent; appending or overwriting adds segments with
nothing but the units that changed.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NewType

from bootseer.errors import CorruptError
from fuse_hdfs import limits

SegmentId = NewType("SegmentId", str)
"""32 hex digits, drawn at random: a segment is never written twice under one name."""

_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Segment:
    """Units that were written in one go."""

    id: SegmentId
    stripes: int
    """Files it is spread over: unit `i` is in file `i % stripes`."""
    units: int
    last: int
    """Bytes of its last unit, which alone may be short."""
    checksums: bytes
    """CRC-32C of each unit, little-endian."""

    def checksum(self, index: int) -> int:
        """Return the CRC-32C of a unit."""
        return int.from_bytes(self.checksums[index * 4 : index * 4 + 4], "little")

    def length(self, index: int, unit: int) -> int:
        """Return the bytes of a unit."""
        return self.last if index == self.units - 1 else unit


@dataclass(frozen=True, slots=True)
class Extent:
    """Consecutive units of the file, and where they come from."""

    segment: SegmentId | None
    """None: a hole."""
    skip: int
    """Units of the segment before the first of these; 0 for a hole."""
    units: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that there is to know of a striped file."""

    unit: int
    """Bytes."""
    size: int
    """Bytes. What a unit holds beyond is not part of the file; what it lacks is zeros."""
    segments: tuple[Segment, ...] = ()
    extents: tuple[Extent, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where one unit is: a stretch of one stripe."""

    segment: Segment
    index: int
    """Which unit of the segment."""
    stripe: int
    offset: int
    """In the stripe's file."""
    length: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of what a reader asked for: some bytes of one unit of the file."""

    unit: int
    """Number of the unit in the file."""
    start: int
    """First byte in the unit."""
    length: int


def units_of(size: int, unit: int) -> int:
    """Return how many units `size` bytes take."""
    return -(-size // unit)


def pieces(offset: int, length: int, unit: int) -> Iterator[Piece]:
    """Cut a range of a file at the borders of its units, in order."""
    end = offset + length
    while offset < end:
        number, start = divmod(offset, unit)
        size = min(unit - start, end - offset)
        yield Piece(number, start, size)
        offset += size


def place_of(segment: Segment, index: int, unit: int) -> Place:
    """Return where unit `index` of a segment is."""
    row, stripe = divmod(index, segment.stripes)
    return Place(segment, index, stripe, row * unit, segment.length(index, unit))


class Locator:
    """Finds units of one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._unit = manifest.unit
        self._segments = {segment.id: segment for segment in manifest.segments}
        self._extents = manifest.extents
        self._ends: list[int] = []
        end = 0
        for extent in manifest.extents:
            end += extent.units
            self._ends.append(end)

    def place(self, number: int) -> Place | None:
        """Return where a unit of the file is; None in a hole, and past the last extent."""
        at = bisect_right(self._ends, number)
        if at == len(self._extents):
            return None
        extent = self._extents[at]
        if extent.segment is None:
            return None
        index = extent.skip + number - (self._ends[at] - extent.units)
        return place_of(self._segments[extent.segment], index, self._unit)


def locate(manifest: Manifest, offset: int, length: int) -> list[tuple[Piece, Place | None]]:
    """Return the parts that a range of a file consists of, in order, and where each is.

    The range is cut off at the end of the file. None stands for zeros.
    """
    locator = Locator(manifest)
    length = max(0, min(length, manifest.size - offset))
    return [(piece, locator.place(piece.unit)) for piece in pieces(offset, length, manifest.unit)]


def resized(manifest: Manifest, size: int) -> Manifest:
    """Return a manifest cut to whole units that `size` needs, or grown by a hole.

    What a last unit holds beyond `size` stays in its segment: a writer that makes a file shorter
    and then longer again has to write that unit anew, with zeros.
    """
    wanted, extents, have = units_of(size, manifest.unit), [], 0
    for extent in manifest.extents:
        units = min(extent.units, wanted - have)
        if units > 0:
            extents.append(Extent(extent.segment, extent.skip, units))
            have += units
    if have < wanted:
        extents.append(Extent(None, 0, wanted - have))
    return _tidy(manifest.unit, size, manifest.segments, extents)


def spliced(manifest: Manifest, segment: Segment, numbers: Sequence[int], size: int) -> Manifest:
    """Return a manifest of `size` bytes in which a new segment holds the units `numbers`.

    `numbers` are in order, each once; unit `i` of the segment is unit `numbers[i]` of the file.
    """
    grown = resized(manifest, max(size, (numbers[-1] + 1) * manifest.unit) if numbers else size)
    extents: list[Extent] = []
    rest = list(reversed(grown.extents))
    at = 0
    for skip, first, units in _runs(numbers):
        at = _move(rest, extents, at, first)
        extents.append(Extent(segment.id, skip, units))
        at = _move(rest, [], at, first + units)
    extents.extend(reversed(rest))
    whole = _tidy(manifest.unit, size, (*manifest.segments, segment), extents)
    return resized(whole, size)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield runs of consecutive numbers: position of the first, the first, how many."""
    start = 0
    for position in range(1, len(numbers) + 1):
        if position == len(numbers) or numbers[position] != numbers[position - 1] + 1:
            yield start, numbers[start], position - start
            start = position


def _move(source: list[Extent], target: list[Extent], at: int, end: int) -> int:
    """Move extents of the units from `at` to `end` off the end of `source`; return `end`."""
    while at < end:
        extent = source.pop()
        units = min(extent.units, end - at)
        target.append(Extent(extent.segment, extent.skip, units))
        if units < extent.units:
            skip = extent.skip + units if extent.segment else 0
            source.append(Extent(extent.segment, skip, extent.units - units))
        at += units
    return end


def _tidy(unit: int, size: int, segments: Iterable[Segment], extents: Iterable[Extent]) -> Manifest:
    """Join extents that continue each other, and drop segments that no extent names."""
    joined: list[Extent] = []
    for extent in extents:
        last = joined[-1] if joined else None
        if last and last.segment == extent.segment and _continues(last, extent):
            joined[-1] = Extent(last.segment, last.skip, last.units + extent.units)
        else:
            joined.append(extent)
    used = {extent.segment for extent in joined}
    return Manifest(unit, size, tuple(s for s in segments if s.id in used), tuple(joined))


def _continues(last: Extent, extent: Extent) -> bool:
    return last.segment is None or last.skip + last.units == extent.skip


def check(manifest: Manifest) -> Manifest:
    """Return a manifest whose parts fit together.

    Raises:
        CorruptError: they do not.
    """
    unit = manifest.unit
    if not limits.UNIT_LEAST <= unit <= limits.UNIT_MOST or unit & (unit - 1):
        raise refuse(f"unit is {unit}")
    if not 0 <= manifest.size <= limits.SIZE:
        raise refuse(f"size is {manifest.size}")
    known: dict[SegmentId, Segment] = {}
    for segment in manifest.segments:
        _check_segment(segment, unit)
        if segment.id in known:
            raise refuse(f"segment {segment.id} is there twice")
        known[segment.id] = segment
    if sum(segment.units for segment in manifest.segments) > limits.UNITS:
        raise refuse("too many units")
    for extent in manifest.extents:
        _check_extent(extent, known)
    if sum(extent.units for extent in manifest.extents) != units_of(manifest.size, unit):
        raise refuse("its extents are not its size")
    return manifest


def _check_segment(segment: Segment, unit: int) -> None:
    fits = (
        _ID.fullmatch(segment.id)
        and 1 <= segment.stripes <= limits.STRIPES
        and 1 <= segment.units <= limits.UNITS
        and 1 <= segment.last <= unit
        and len(segment.checksums) == 4 * segment.units
    )
    if not fits:
        raise refuse(f"segment {segment.id[:32]!a} makes no sense")


def _check_extent(extent: Extent, known: dict[SegmentId, Segment]) -> None:
    if extent.units < 1 or extent.skip < 0:
        raise refuse("an extent has no units")
    if extent.segment is None:
        fits = extent.skip == 0
    else:
        segment = known.get(extent.segment)
        fits = segment is not None and extent.skip + extent.units <= segment.units
    if not fits:
        raise refuse("an extent is not in its segment")


def refuse(what: str) -> CorruptError:
    """Return the error for a manifest."""
    return CorruptError(f"manifest: {what}", hint="bootseer hdfs fsck")
