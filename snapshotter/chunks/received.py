"""Bytes of a blob that have come so far, cut where they are needed. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Adjacent bytes of a blob."""

    origin: int
    """Where in the blob they begin."""
    data: memoryview

    def cut(self, start: int, end: int) -> memoryview:
        """Return bytes `[start, end)` of the blob, all of which are here."""
        return self.data[start - self.origin : end - self.origin]


class Received:
    """A stream of a blob, from what was taken last to the end of what has come."""

    __slots__ = ("_data", "_origin", "_taken")

    def __init__(self, origin: int) -> None:
        """`origin`: where in the blob the stream begins."""
        self._origin = origin
        self._taken = origin
        self._data = b""

    @property
    def end(self) -> int:
        """Where in the blob the bytes that came end."""
        return self._origin + len(self._data)

    def add(self, piece: bytes) -> None:
        """Note the next bytes; those before what was taken last are forgotten."""
        left = memoryview(self._data)[self._taken - self._origin :]
        self._data = b"".join((left, piece)) if left else piece
        self._origin = self._taken

    def take(self, start: int, end: int) -> Part:
        """Return bytes `[start, end)`, all of which have come and none before the last `start`."""
        self._taken = start
        return Part(start, memoryview(self._data)[start - self._origin : end - self._origin])
