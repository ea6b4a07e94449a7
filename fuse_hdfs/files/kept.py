"""What was sent of a stripe, in a file of this machine, as long as the stripe is not stored.

The machine that a stripe goes to may be lost on the way, with what it had been sent and had not
passed on. From here the stripe is sent again, to another one. That takes room on a disk, which is
bounded; a stripe for which there was none is lost with its machine.

Race-free: one event loop's thread; room is counted without an await. Of one stripe one method at a
time is called, but `close` may come while an `add` that was cancelled still writes, and waits for
it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from fuse_hdfs.files.spool import Spool

log = logging.getLogger(__name__)


class Keep:
    """Where it is kept, of all stripes together."""

    def __init__(self, directory: Path, size: int) -> None:
        """`size`: most bytes on the disk of `directory`."""
        self.directory = directory
        self._left = size

    def take(self, size: int) -> bool:
        """Take so many bytes, if there are."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        """Give bytes back."""
        self._left += size


class Kept:
    """The units of one stripe."""

    def __init__(self, keep: Keep, unit: int) -> None:
        """`unit`: bytes of all units but the last."""
        self._keep = keep
        self._unit = unit
        self._spool: Spool | None = None
        self._lengths: list[int] = []
        self._taken = 0
        self._writing: asyncio.Future[None] | None = None
        self.whole = True
        """All units that were added are here."""

    async def add(self, unit: bytes) -> None:
        """Keep the next unit, if there is room for it and there was for all before."""
        if not self.whole:
            return
        if not self._keep.take(len(unit)):
            await self._give_up("no room")
            return
        self._taken += len(unit)
        try:
            spool = self._spool = self._spool or Spool(self._keep.directory, self._unit)
            self._writing = asyncio.ensure_future(spool.write(len(self._lengths), 0, unit))
            await asyncio.shield(self._writing)
        except OSError as error:
            await self._give_up(str(error))
            return
        self._lengths.append(len(unit))

    async def units(self) -> AsyncIterator[bytes]:
        """Yield what is kept, in order. OSError if it cannot be read."""
        for number, length in enumerate(self._lengths):
            if self._spool is not None:
                yield await self._spool.read(number, 0, length)

    async def close(self) -> None:
        """Give the room back."""
        spool, self._spool = self._spool, None
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        if spool is not None:
            spool.close()
        self._keep.give(self._taken)
        self._taken = 0

    async def _give_up(self, reason: str) -> None:
        self.whole = False
        log.info("stripe.not_kept", extra={"fields": {"reason": reason}})
        await self.close()
