"""A stream for stores where reads that follow each other cost nothing beside their bytes."""

from dataclasses import dataclass
from typing import Protocol


class Readable(Protocol):
    """The part of a `Store` that this takes."""

    async def read(self, path: str, offset: int, length: int) -> bytes:
        """See `Store.read`."""
        ...


@dataclass(slots=True)
class Reads:
    """A `Stream` of reads, one after the other."""

    store: Readable
    path: str
    offset: int
    place: str | None = None

    async def read(self, length: int) -> bytes:
        """See `Stream.read`."""
        data = await self.store.read(self.path, self.offset, length)
        self.offset += len(data)
        return data
