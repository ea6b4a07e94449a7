"""Bytes in several pieces. Pure."""

from collections.abc import Sequence
from typing import TypeAlias

Pieces: TypeAlias = tuple[bytes, ...]
"""Bytes that follow each other, none of the pieces empty.

Whoever passes them on from a loop deletes his name for a piece before he waits for the next one:
there is a loop for each stripe of each file, most of them wait, and what they hold nobody counts.
"""


def size_of(pieces: Sequence[bytes | memoryview]) -> int:
    """Return how many bytes all pieces have."""
    return sum(map(len, pieces))


def behind(pieces: Sequence[memoryview], done: int) -> Sequence[memoryview]:
    """Return what is left of pieces without their first `done` bytes."""
    for number, piece in enumerate(pieces):
        if done < len(piece):
            return [piece[done:], *pieces[number + 1 :]]
        done -= len(piece)
    return ()
