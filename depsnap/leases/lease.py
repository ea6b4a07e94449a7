"""Waiting for another node's snapshot, or becoming the one that the others wait for.

Nothing here is needed for correctness, so nothing here may fail a start: every way out is bounded,
by silence of the holder or by the whole wait. What is kept between two looks is only this node's
own memory of what it saw.
"""

import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from bootseer.blobs.store import BlobStore
from bootseer.errors import BootseerError
from depsnap.leases.terms import Doing, Patience, Seen, Watch, beat_name, newest, term_name

T = TypeVar("T")

_MOST: Final = 10_000
"""Objects of one lease that are looked at."""
_PAUSE_S: Final = 1.0
"""Between two looks, more or less: nodes that began together should not go on together."""


class Clock(Protocol):
    """Time on this node."""

    def now(self) -> float:
        """Return seconds that only ever grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(slots=True)
class Lease:
    """A term that this node holds."""

    store: BlobStore
    folder: str
    term: int
    owner: str
    beats: int = field(default=0)

    async def beat(self, doing: Doing) -> None:
        """Show that we live. A place that fails is passed over: the others then wait no longer."""
        with contextlib.suppress(BootseerError):
            self.beats += 1
            await self.store.put(f"{self.folder}/{beat_name(self.term, self.beats, doing)}", b"")
            for before in Doing:
                name = beat_name(self.term, self.beats - 1, before)
                await self.store.delete(f"{self.folder}/{name}")

    async def release(self) -> None:
        """Give it back, unless somebody took the next term: then everything is his."""
        with contextlib.suppress(BootseerError):
            listed = await self.store.list(self.folder, _MOST)
            names = [one.name.rpartition("/")[2] for one in listed]
            if newest(names).term == self.term:
                # The term itself last: until then nobody takes it.
                for name in sorted(names, key=len, reverse=True):
                    await self.store.delete(f"{self.folder}/{name}")


@dataclass(frozen=True, slots=True)
class Waited(Generic[T]):
    """How waiting ended: with what was waited for, as the holder of the lease, or with neither."""

    found: T | None = None
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait, and for what."""

    folder: str
    owner: str
    """Unique on all nodes."""
    most: float
    """Seconds after which this node goes its own way."""
    patience: Patience


async def wait_or_lead(
    store: BlobStore,
    look: Callable[[], Awaitable[T | None]],
    how: Waiting,
    clock: Clock,
    tell: Callable[[str], None],
) -> Waited[T]:
    """Return what `look` finds, or a lease after which it found nothing; neither after `how.most`.

    Raises:
        BootseerError: the store fails.
    """
    began = clock.now()
    watch = Watch(Seen(), began)
    told = False
    while True:
        seen = await _seen(store, how.folder)
        watch = watch.next(seen, clock.now())
        term = watch.may_take(clock.now(), how.patience)
        if term is not None and await _take(store, how, term):
            lease = Lease(store, how.folder, term, how.owner)
            # It may have been published, and the lease given back, since we looked.
            found = await look()
            if found is None:
                return Waited(lease=lease)
            await lease.release()
            return Waited(found)
        if (found := await look()) is not None:
            return Waited(found)
        if clock.now() - began >= how.most:
            return Waited()
        if not told:
            tell("another node runs this step; waiting for its snapshot")
            told = True
        await clock.sleep(_PAUSE_S * (0.5 + random.random()))  # noqa: S311 (no secret)


async def _seen(store: BlobStore, folder: str) -> Seen:
    listed = await store.list(folder, _MOST)
    return newest(one.name.rpartition("/")[2] for one in listed)


async def _take(store: BlobStore, how: Waiting, term: int) -> bool:
    content = json.dumps({"owner": how.owner}).encode()
    return await store.put(f"{how.folder}/{term_name(term)}", content)
