"""What was sent of a stripe, in a file of this machine, as long as the stripe is not stored.

The machine that a stripe goes to may be lost on the way, with what it had been sent and had not
passed on. From here the stripe is sent again, to another one. That takes room on a disk, which is
bounded; a stripe for which there was none is lost with its machine.

A unit is written here while it is sent: neither waits for the other.

Race-free: one event loop's thread; room is counted without an await. Of one stripe one method at a
time is called. What `add` began is the one thing that goes on by itself; all other methods wait
for it, `close` also when it was cancelled before.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from fuse_hdfs.files.spool import Spool
from fuse_hdfs.views import Pieces, size_of

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
        self._adding: asyncio.Task[None] | None = None
        self._whole = True

    def add(self, unit: Pieces) -> None:
        """Begin to keep the next unit, if there is room for it and there was for all before.

        What was added before is `settled`.
        """
        if self._whole:
            self._adding = asyncio.create_task(self._add(unit))

    async def settled(self) -> bool:
        """Wait for what was added; return whether all of it is here."""
        if self._adding is not None:
            await asyncio.shield(self._adding)
            self._adding = None
        return self._whole

    async def units(self) -> AsyncIterator[bytes]:
        """Yield what is kept, in order. OSError if it cannot be read."""
        await self.settled()
        for number, length in enumerate(self._lengths):
            if self._spool is not None:
                yield await self._spool.read(number, 0, length)

    async def close(self) -> None:
        """Give the room back."""
        if self._adding is not None:
            await asyncio.wait((self._adding,))
        self._drop()

    async def _add(self, unit: Pieces) -> None:
        size = size_of(unit)
        if not self._keep.take(size):
            self._give_up("no room")
            return
        self._taken += size
        try:
            spool = self._spool = self._spool or Spool(self._keep.directory, self._unit)
            await spool.write(len(self._lengths), 0, *unit)
        except OSError as error:
            self._give_up(str(error))
            return
        self._lengths.append(size)

    def _give_up(self, reason: str) -> None:
        self._whole = False
        log.info("stripe.not_kept", extra={"fields": {"reason": reason}})
        self._drop()

    def _drop(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()
        self._keep.give(self._taken)
        self._taken = 0
