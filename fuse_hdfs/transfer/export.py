"""A file as one plain file of a store, for tools that know nothing of stripes.

Where the store can join files, parts of it are written at the same time, each to a place of its
own, and joined then: so it is as fast as striped writing. A part that is whole stays when the
export is cut off, and is not written again.

Concurrency: the parts share nothing but the source, which is only read.
"""

import contextlib
import errno
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from bootseer.together import together
from fuse_hdfs.stores.store import Store
from fuse_hdfs.transfer.copy import PIECE, Moved, pieces
from fuse_hdfs.transfer.ends import About, Source

_PARTS: Final = 8
_LEAST: Final = 32 << 20
"""Bytes of a part, but for the last."""
_AHEAD: Final = 2
"""Pieces that each part reads ahead, or holds to be written."""
_TAKEN: Final = frozenset({errno.EBUSY, errno.EEXIST})
_TRIES: Final = 3
"""Times that a part is begun which somebody else begins at that very moment."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the file, and the file that it is written to."""

    path: str
    offset: int
    length: int


def parts_of(directory: str, size: int, most: int, least: int = _LEAST) -> list[Part]:
    """Cut a file into at most `most` parts of whole pieces, at least `least` bytes each."""
    length = max(least, -(-size // most))
    length = -(-length // PIECE) * PIECE
    starts = range(0, max(size, 1), length)
    return [
        Part(f"{directory}/{number:03}", start, min(length, size - start))
        for number, start in enumerate(starts)
    ]


async def export_file(
    source: Source, store: Store, path: str, moved: Moved, *, least: int = _LEAST
) -> int:
    """Write a file to `path`, over what is there; return how many bytes were there already.

    `least`: bytes that are worth a part of their own.

    OSError as source and store raise it.
    """
    above, _, name = path.rpartition("/")
    token = hashlib.sha256(f"{path}\0{source.about.identity}".encode(errors="surrogateescape"))
    directory = f"{above}/" if above else ""
    directory += f".{name}.{token.hexdigest()[:16]}.parts"
    most = _PARTS if await store.can_concat() else 1
    parts = parts_of(directory, source.about.size, most, least)
    places = await store.places()

    async def write(job: tuple[int, Part]) -> int:
        number, part = job
        place = places[number % len(places)] if places else None
        return await _write(source, store, part, place, moved)

    there = sum(await together(write, list(enumerate(parts)), _PARTS))
    first, *others = [part.path for part in parts]
    if others:
        await store.concat(first, others)
    size = (await store.stat(first)).size
    if size != source.about.size:
        raise OSError(errno.EIO, f"has {size} bytes, not {source.about.size}", path)
    await _dress(store, first, source.about)
    await store.rename(first, path, replace=True)
    await store.remove_tree(directory)
    return there


async def _write(source: Source, store: Store, part: Part, place: str | None, moved: Moved) -> int:
    """Write a part unless it is there; return how many bytes of it were.

    A DataNode may still be making the file for an export that was cut off a moment ago. What it has
    made then is removed like every other part that is not whole.
    """
    sent = 0

    def count(size: int) -> None:
        nonlocal sent
        sent += size
        moved(size)

    for left in reversed(range(_TRIES)):
        with contextlib.suppress(FileNotFoundError):
            if (await store.stat(part.path)).size == part.length:
                moved(part.length)
                return part.length
            await store.remove(part.path)
        try:
            await store.write(part.path, _content(source, part, count), place=place)
            break
        except OSError as error:
            if error.errno not in _TAKEN or not left:
                raise
            count(-sent)
    return 0


async def _content(source: Source, part: Part, moved: Moved) -> AsyncIterator[bytes]:
    end = part.offset + part.length
    async with aclosing(pieces(source, part.offset, end, ahead=_AHEAD)) as found:
        async for piece in found:
            yield piece
            moved(len(piece))


async def _dress(store: Store, path: str, like: About) -> None:
    """Give a file mode and time of what it is a copy of."""
    await store.set_mode(path, like.mode)
    await store.set_modified(path, like.modified_ns)
