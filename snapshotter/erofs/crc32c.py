"""CRC32C (Castagnoli) as EROFS superblocks use it: no final inversion. For a few KiB only."""

from typing import Final

_POLYNOMIAL: Final = 0x82F63B78


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE: Final = _table()


def crc32c(data: bytes, seed: int = 0xFFFFFFFF) -> int:
    """Return the CRC register after `data`, not inverted (the kernel's `crc32c()`)."""
    crc = seed
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc
