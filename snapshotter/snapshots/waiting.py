"""Who waits for whom inside one event loop: a lock a key, and a gate for many or for one.

Both are race-free because what decides (a counter, a flag) is looked at and changed with no await
in between, and undone in `finally` without one.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class KeyedLocks:
    """Mutual exclusion among those who name the same key; forgets keys nobody waits for."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Wait until nobody else holds the key, then hold it."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)

    def __len__(self) -> int:
        return len(self._locks)


class Gate:
    """Many inside at once, or one alone. Who wants to be alone waits for all others to be gone."""

    def __init__(self) -> None:
        self._inside = 0
        self._taken = False
        self._empty = asyncio.Event()
        self._free = asyncio.Event()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Be inside with others."""
        while self._taken:
            await self._free.wait()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be inside with nobody else."""
        while self._inside or self._taken:
            await (self._empty if self._inside else self._free).wait()
        self._taken = True
        self._free.clear()
        try:
            yield
        finally:
            self._taken = False
            self._free.set()
