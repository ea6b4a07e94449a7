"""Writing all of something at a place of a file: pwrite(2) may write less than it is given."""

import os


def write_all(descriptor: int, offset: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data` at `offset` (blocking). OSError if the disk will not take it."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count
