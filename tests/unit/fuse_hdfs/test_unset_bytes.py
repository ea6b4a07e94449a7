"""Bytes that are filled after they were made."""

import pytest

from fuse_hdfs.checksums import crc32c
from fuse_hdfs.stores.unset_bytes import unset_bytes


@pytest.mark.parametrize("size", [1, 2, 4095, 4 << 20])
def test_what_was_set_is_what_the_bytes_are(size: int) -> None:
    wanted = bytes(number % 251 for number in range(size))
    made, other = unset_bytes(size), unset_bytes(size)
    other.memory[:] = bytes(size)
    made.memory[: size // 2] = wanted[: size // 2]
    made.memory[size // 2 :] = wanted[size // 2 :]
    assert type(made.data) is bytes
    assert made.data == wanted
    assert crc32c(made.data) == crc32c(wanted)
    assert other.data == bytes(size)


def test_bytes_that_others_have_are_never_the_same_memory() -> None:
    one, before = unset_bytes(1), bytes([65])
    one.memory[0] = 66
    assert (one.data, before, bytes([65])) == (b"B", b"A", b"A")
