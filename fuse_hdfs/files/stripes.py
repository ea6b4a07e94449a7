"""Reading stretches of stripes: in streams, and from another copy where one is slow or gone.

Race-free: one event loop's thread; shared are the table of which copy of a stripe to read, where a
wrong entry costs a detour, the streams, and what is known of how long reads take.
"""

import asyncio
import contextlib
import logging
from typing import Final

from cachetools import TTLCache

from fuse_hdfs.files.copies import Copies
from fuse_hdfs.files.hedging import Hedging, first_of
from fuse_hdfs.files.streams import StripeStreams
from fuse_hdfs.files.turns import Turns
from fuse_hdfs.stores.store import Store

log = logging.getLogger(__name__)

_AT_ONCE: Final = 2
"""Reads of one stripe: the next one is asked for while the first is on its way."""
_BETTER_S: Final = 30.0
"""For so long a copy that was faster is preferred."""


class Stripes:
    """Stripes of a store, which never change."""

    def __init__(self, store: Store, copies: Copies) -> None:
        self._store = store
        self._copies = copies
        self._streams = StripeStreams(store)
        self._better: TTLCache[str, str] = TTLCache(10_000, _BETTER_S)
        self._turns = Turns(_AT_ONCE)
        self.hedging = Hedging()

    async def close(self) -> None:
        """Close all streams."""
        await self._streams.close()

    async def read(self, path: str, offset: int, length: int, *, follow: bool) -> bytes:
        """Return bytes of a stripe, fewer where it ends; `follow`: what is behind will be wanted.

        OSError: as `Store.read`.
        """
        async with self._turns.turn(path):
            return await self._in_turn(path, offset, length, follow=follow)

    async def _in_turn(self, path: str, offset: int, length: int, *, follow: bool) -> bytes:
        now = asyncio.get_running_loop().time
        begun, patience = now(), self.hedging.patience
        first = asyncio.create_task(self._read(path, offset, length, follow=follow))
        try:
            await asyncio.wait((first,), timeout=patience)
            if first.done() and not first.exception():
                data = first.result()
            else:
                data = await self._hedged(first, path, offset, length)
        finally:
            first.cancel()
        self.hedging.took(now() - begun)
        return data

    async def _read(self, path: str, offset: int, length: int, *, follow: bool) -> bytes:
        place = self._better.get(path)
        data = None
        if follow:
            with contextlib.suppress(OSError):  # a stream that broke: a request of its own says why
                data = await self._streams.read(path, offset, length, place)
        if data is None:
            data = await self._store.read(path, offset, length, place=place)
        return data

    async def _hedged(
        self, first: "asyncio.Task[bytes]", path: str, offset: int, length: int
    ) -> bytes:
        """Return what another copy says, or the first one after all."""
        used = self._better.get(path) or self._streams.place(path)
        other = await self._copies.other(path, path, offset, used)
        if other is None:
            return await first
        self.hedging.hedges += 1

        async def second() -> bytes:
            return await self._store.read(path, offset, length, place=other)

        data, won = await first_of(first, second)
        if won:
            self.hedging.won += 1
            fields = {"stripe": path, "slow": used, "instead": other}
            log.info("stripe.elsewhere", extra={"fields": fields})
            self._better[path] = other
            self._streams.drop(path)
        return data
