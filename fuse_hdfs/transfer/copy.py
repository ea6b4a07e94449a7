"""Copying one file: read ahead in parallel, written in order.

Race-free: one task; the reads that are under way are its own.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

from bootseer.errors import CorruptError
from fuse_hdfs.checksums import crc32c
from fuse_hdfs.transfer.ends import Source, Target

PIECE: Final = 4 << 20
"""Bytes that are read at once."""
_AHEAD: Final = 16
"""Pieces of a file that are being read, or wait to be written."""

Moved: TypeAlias = Callable[[int], None]
"""Told how many more bytes are done."""


async def copy_file(source: Source, target: Target, moved: Moved) -> int:
    """Copy a file whole; return how many bytes of it were there already.

    OSError as the ends raise it: what is written can be gone on with then.
    """
    try:
        done = await target.begin()
        moved(done)
        async with aclosing(pieces(source, done)) as found:
            async for piece in found:
                await target.add(piece)
                moved(len(piece))
        await target.finish()
    except BaseException:
        await target.abandon()
        raise
    return done


async def compare(source: Source, copy: Source, moved: Moved) -> None:
    """Read both whole. CorruptError: they are not the same; OSError as the ends raise it."""
    if source.about.size != copy.about.size:
        raise CorruptError(f"a copy has {copy.about.size} bytes, not {source.about.size}")
    offset = 0
    async with aclosing(pieces(source, 0)) as ours, aclosing(pieces(copy, 0)) as theirs:
        async for piece in ours:
            if crc32c(await anext(theirs)) != crc32c(piece):
                end = offset + len(piece)
                raise CorruptError(f"a copy differs somewhere in bytes {offset} to {end}")
            offset += len(piece)
            moved(len(piece))


async def pieces(
    source: Source, offset: int, end: int | None = None, *, ahead: int = _AHEAD
) -> AsyncGenerator[bytes]:
    """Yield a file in pieces, from `offset` to `end` (its own end); `ahead` are read at a time."""
    stop = source.about.size if end is None else end
    flying: deque[asyncio.Task[bytes]] = deque()
    try:
        while offset < stop or flying:
            while offset < stop and len(flying) < ahead:
                # From the second on they begin at multiples: a piece is some whole units.
                length = min(PIECE - offset % PIECE, stop - offset)
                flying.append(asyncio.create_task(source.read(offset, length)))
                offset += length
            yield await flying.popleft()
    finally:
        for one in flying:
            one.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
