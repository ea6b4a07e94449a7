"""Who reads which chunks of a layer, and which are being given up: never the same.

A read that may wait between finding a chunk and reading it claims the chunks first. What is claimed
is not given up; whoever claims what is being given up waits until it is gone, and fetches it again.

Race-free: the event loop's thread only. `leaving` looks at the claims and enters its chunks without
an await between, and a claim is made before it waits: so the two exclude each other, and since
giving up waits for no claim, nobody waits for ever.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Claims:
    """The claims on one layer's chunks."""

    def __init__(self) -> None:
        self._read: list[tuple[int, int]] = []
        self._leaving: dict[int, asyncio.Future[None]] = {}

    @contextmanager
    def reading(self, low: int, high: int) -> Iterator[None]:
        """Claim chunks `[low, high)` during the block. What is leaving already goes all the same:
        see `settled`."""
        claim = (low, high)
        self._read.append(claim)
        try:
            yield
        finally:
            self._read.remove(claim)

    def __bool__(self) -> bool:
        """Say whether anything is claimed."""
        return bool(self._read)

    def is_read(self, chunk: int) -> bool:
        """Say whether a chunk is claimed."""
        return any(low <= chunk < high for low, high in self._read)

    def is_leaving(self, chunk: int) -> bool:
        """Say whether a chunk is being given up."""
        return chunk in self._leaving

    async def settled(self, low: int, high: int) -> None:
        """Wait until none of chunks `[low, high)` is being given up."""
        if not self._leaving:
            return
        waiting = {f for chunk, f in self._leaving.items() if low <= chunk < high}
        if waiting:
            await asyncio.wait(waiting)

    @contextmanager
    def leaving(self, chunks: Iterable[int]) -> Iterator[None]:
        """Give chunks up that nobody claims; they are gone when the block ends."""
        gone = asyncio.get_running_loop().create_future()
        entered = dict.fromkeys(chunks, gone)
        self._leaving.update(entered)
        try:
            yield
        finally:
            for chunk in entered:
                del self._leaving[chunk]
            gone.set_result(None)
