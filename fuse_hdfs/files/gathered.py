"""What is written in order until it fills a unit.

Large pieces stay as they came; only small ones are joined, so that a unit is never more than a few
hundred of them.
"""

from typing import Final

from fuse_hdfs.views import Pieces

_LARGE: Final = 128 << 10
"""Bytes from which on a piece is not worth a copy."""


class Gathered:
    """Bytes that follow each other. Its length is theirs."""

    def __init__(self, data: bytes = b"") -> None:
        self._pieces: list[bytes] = []
        self._joined = bytearray()
        """Small ones behind the pieces."""
        self._size = 0
        self.add(data)

    def __len__(self) -> int:
        return self._size

    def add(self, data: bytes) -> None:
        """Take what comes behind all others."""
        self._size += len(data)
        if len(data) >= _LARGE:
            self._close_joined()
            self._pieces.append(data)
        else:
            self._joined += data

    def take(self) -> Pieces:
        """Return all of it; nothing is left then."""
        self._close_joined()
        pieces, self._pieces, self._size = tuple(self._pieces), [], 0
        return pieces

    def _close_joined(self) -> None:
        if self._joined:
            self._pieces.append(bytes(self._joined))
            self._joined.clear()
