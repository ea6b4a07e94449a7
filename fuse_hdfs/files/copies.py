"""Which copy of a plain file's bytes to read: the copies of each block in turn.

What other tools wrote lies in large blocks, one behind the other, so that a sequential reader asks
for the same block for a long while. With its copies in turn, all DataNodes that have one answer.

Race-free: one event loop's thread; whoever asks for a file's blocks first asks for all the others.
"""

import asyncio
import logging
import random
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from cachetools import LRUCache

from fuse_hdfs.stores.store import Block, Store

log = logging.getLogger(__name__)

_FILES: Final = 1_000


def copy_of(blocks: Sequence[Block], offset: int, turn: int) -> str | None:
    """Return where to read the byte at `offset` the `turn`-th time; None: the store may choose."""
    at = bisect_right(blocks, offset, key=lambda block: block.offset) - 1
    if at < 0 or not blocks[at].places:
        return None
    places = blocks[at].places
    return places[turn % len(places)]


class Copies:
    """Knows the blocks of the files that were read last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: LRUCache[str, asyncio.Task[tuple[Block, ...]]] = LRUCache(_FILES)

    async def place(self, path: str, identity: str, offset: int, turn: int) -> str | None:
        """Return where to read a byte of the file `identity`, which is at `path`."""
        return copy_of(await self._blocks(path, identity), offset, turn)

    async def other(self, path: str, identity: str, offset: int, than: str | None) -> str | None:
        """Return where there is a copy of a byte besides `than`; None if nowhere."""
        blocks = await self._blocks(path, identity)
        at = bisect_right(blocks, offset, key=lambda block: block.offset) - 1
        others = [place for place in blocks[at].places if place != than] if at >= 0 else []
        return random.choice(others) if than and others else None  # noqa: S311  (not a secret)

    async def close(self) -> None:
        """Stop what is under way."""
        asked = list(self._known.values())
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    async def _blocks(self, path: str, identity: str) -> tuple[Block, ...]:
        asked = self._known.get(identity)
        if asked is None:
            asked = self._known[identity] = asyncio.create_task(self._ask(path))
        return await asyncio.shield(asked)

    async def _ask(self, path: str) -> tuple[Block, ...]:
        try:
            return await self._store.blocks(path)
        except OSError as error:  # it can be read all the same
            log.debug("blocks.unknown", extra={"fields": {"path": path, "reason": str(error)}})
            return ()
