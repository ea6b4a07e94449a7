"""Where in its pack the contents of each file lie. Pure arithmetic."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from bootseer.errors import CorruptError
from depsnap.tree.entries import Pack


class Placed(NamedTuple):
    """What one frame of a pack holds. A tuple: there are thousands."""

    pack: int
    """Row of the pack."""
    frame: int
    """Number of the frame in it."""
    offset: int
    """Bytes of the object in front of the frame."""
    start: int
    """Bytes of contents in front of it."""
    files: tuple[int, ...]
    """Rows of the entries: of a pack of many files those that lie in this frame, one behind the
    other; of a single file all entries that are it."""


def frame_of_each(
    packs: Sequence[Pack], packed: Sequence[int], stored: Sequence[int]
) -> list[Placed]:
    """Return all frames of all packs, in order, with the entries whose contents they hold.

    `packed` and `stored` are of every entry: the row of its pack, and bytes of its contents in it.

    Raises:
        CorruptError: the sizes of entries and frames do not fit together, or nobody uses a pack.
    """
    users: list[list[int]] = [[] for _ in packs]
    for row, number in enumerate(packed):
        if number >= 0:
            users[number].append(row)
    placed: list[Placed] = []
    for number, (pack, rows) in enumerate(zip(packs, users, strict=True)):
        if not rows:
            raise CorruptError(f"snapshot tree: pack {pack.title!a} belongs to no file")
        sizes = [stored[row] for row in rows]
        shares = _single(pack, rows, sizes) if pack.single else _shares(pack, rows, sizes)
        offset = start = 0
        for at, (frame, files) in enumerate(zip(pack.frames, shares, strict=True)):
            placed.append(Placed(number, at, offset, start, files))
            offset, start = offset + frame.stored, start + frame.raw
    return placed


def _single(pack: Pack, rows: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, ...]]:
    if any(size != pack.raw for size in sizes):
        raise CorruptError(f"snapshot tree: pack {pack.title!a} has another size than its file")
    return [tuple(rows)] * len(pack.frames)


def _shares(pack: Pack, rows: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the rows in each frame of a pack of many files."""
    ends = list(accumulate(sizes))
    shares = []
    first = end = 0
    for frame in pack.frames:
        end += frame.raw
        last = bisect_right(ends, end)
        if last == first or ends[last - 1] != end:
            raise CorruptError(f"snapshot tree: a frame of pack {pack.title!a} cuts through a file")
        shares.append(tuple(rows[first:last]))
        first = last
    if first != len(rows):
        raise CorruptError(f"snapshot tree: pack {pack.title!a} is too short for its files")
    return shares
