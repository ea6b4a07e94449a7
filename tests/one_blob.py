"""A source of blobs that has one."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from snapshotter.ports import Early


@dataclass
class OneBlob:
    """A registry that has one blob."""

    blob: bytes

    async def doubt(self, digest: str) -> None: ...

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        return self.blob[offset : offset + length]

    async def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        yield self.blob[offset:][:length]
