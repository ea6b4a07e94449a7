"""Bytes of which it is known how many are still in memory."""

from typing import ClassVar


class CountedBytes(bytes):
    """Made anew they count until nobody has them any more."""

    alive: ClassVar[int] = 0

    def __init__(self, *_: object) -> None:
        CountedBytes.alive += 1

    def __del__(self) -> None:
        CountedBytes.alive -= 1
