"""What is sent: bytes, or a file that may be larger than memory. Both can be sent again."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

PIECE: Final = 1 << 20
"""Bytes handed to the connection at once."""


@dataclass(frozen=True, slots=True)
class FileBody:
    """The first `size` bytes of a file, read while they are sent."""

    path: Path
    size: int

    def __len__(self) -> int:
        return self.size


Body: TypeAlias = bytes | FileBody


async def pieces(body: Body) -> AsyncGenerator[bytes, None]:
    """Yield a body in pieces of at most `PIECE` bytes. Raises `OSError` if the file is shorter."""
    if isinstance(body, bytes):
        for start in range(0, len(body), PIECE):
            yield body[start : start + PIECE]
        return
    file = await asyncio.to_thread(body.path.open, "rb", 0)
    try:
        left = body.size
        while left:
            piece = await asyncio.to_thread(file.read, min(left, PIECE))
            if not piece:
                raise OSError(f"{body.path} ends {left} bytes too early")
            left -= len(piece)
            yield piece
    finally:
        file.close()
