"""Reading stretches of stripes: in streams, and from another copy where one is slow or gone.

Who asks for single stretches of a stripe waits in turn, but for a few. Readers that begin at parts
of a file which lie a whole number of rows apart ask for the same stripe, go on to the next one when
they have their stretch, and would do so together for ever: all stripes but one would rest. One
behind the other they are soon spread over all of them.

Race-free: one event loop's thread; shared are the table of which copy of a stripe to read, where a
wrong entry costs a detour, the streams, and what is known of how long reads take.
"""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Final

from cachetools import TTLCache

from fuse_hdfs.files.copies import Copies
from fuse_hdfs.files.hedging import Hedging, first_of
from fuse_hdfs.files.streams import StripeStreams
from fuse_hdfs.stores.store import Store

log = logging.getLogger(__name__)

_SINGLE: Final = 2
"""Stretches of one stripe that are asked for at the same time, beside its stream."""
_TURN_S: Final = 3.0
"""Who has waited for his turn so long asks all the same: those before him may hang."""
_BETTER_S: Final = 30.0
"""For so long a copy that was faster is preferred."""


class Stripes:
    """Stripes of a store, which never change."""

    def __init__(self, store: Store, copies: Copies) -> None:
        self._store = store
        self._copies = copies
        self._streams = StripeStreams(store)
        self._better: TTLCache[str, str] = TTLCache(10_000, _BETTER_S)
        self._turns: weakref.WeakValueDictionary[str, asyncio.Semaphore] = (
            weakref.WeakValueDictionary()
        )
        self.hedging = Hedging()

    async def close(self) -> None:
        """Close all streams."""
        await self._streams.close()

    async def read(self, path: str, offset: int, length: int, *, follow: bool) -> bytes:
        """Return bytes of a stripe, fewer where it ends; `follow`: what is behind will be wanted.

        OSError: as `Store.read`.
        """
        if follow:
            return await self._surely(path, offset, length, follow=True)
        async with self._turn(path):
            return await self._surely(path, offset, length, follow=False)

    @contextlib.asynccontextmanager
    async def _turn(self, path: str) -> AsyncIterator[None]:
        """Wait until it is our turn to want something of a stripe, but not for ever."""
        turns = self._turns.setdefault(path, asyncio.Semaphore(_SINGLE))
        try:
            async with asyncio.timeout(_TURN_S):
                await turns.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            turns.release()

    async def _surely(self, path: str, offset: int, length: int, *, follow: bool) -> bytes:
        """Return bytes of a stripe, of another copy if the first takes long or fails."""
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
