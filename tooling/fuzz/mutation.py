"""Changes to inputs without a guide: bytes, numbers, pieces moved and spliced. Pure."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

_ODD: Final = (0, 1, 0x7F, 0x80, 0xFF)
_NUMBERS: Final = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)
_MOST_CHANGES: Final = 6


def mutants(seeds: Sequence[bytes], largest: int, chance: Random) -> Iterator[bytes]:
    """Yield inputs of at most `largest` bytes that differ a little from seeds, for ever."""
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, _MOST_CHANGES)):
            _change(data, seeds, chance)
        yield bytes(data[:largest])


def _change(data: bytearray, seeds: Sequence[bytes], chance: Random) -> None:
    at = chance.randrange(len(data) + 1)
    match chance.randrange(7):
        case 0 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(data):
            data[at] = chance.choice(_ODD)
        case 2:
            size = chance.choice((2, 4, 8))
            number = chance.choice(_NUMBERS) & ((1 << 8 * size) - 1)
            data[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))
        case 3:
            del data[at : at + chance.randint(1, 40)]
        case 4:
            piece = data[at : at + chance.randint(1, 600)]
            to = chance.randrange(len(data) + 1)
            data[to:to] = piece
        case 5:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at:] = other[start:]
        case _:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
