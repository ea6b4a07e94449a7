"""ELF files, real ones and hostile ones, as the loader's first look sees them."""

import ctypes.util
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.linking.elf import FRONT, Dynamic, read_dynamic, read_front
from tests.elf_maker import CHANGED, RELOCATIONS, library


def look(data: bytes) -> Dynamic | None:
    front = read_front(data[:FRONT])
    if front is None:
        return None
    return read_dynamic(front, data[front.dynamic.start : front.dynamic.stop])


def names(data: bytes) -> list[str]:
    found = look(data)
    assert found is not None
    return [data[at : data.index(b"\0", at)].decode() for at in found.names]


def test_what_a_library_needs_and_what_its_relocations_change_is_found() -> None:
    data = library(["libone.so.1", "libtwo.so"])
    found = look(data)
    assert found is not None
    assert names(data) == ["libone.so.1", "libtwo.so"]
    assert found.touched == (RELOCATIONS, CHANGED)


def test_the_libraries_of_python_are_those_that_the_loader_loads() -> None:
    program = Path(sys.executable).resolve()
    loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    found = names(program.read_bytes())
    assert found
    assert all(name in loaded for name in found)


def test_the_c_library_is_read_to_its_end() -> None:
    name = ctypes.util.find_library("c")
    path = next(
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if name and line.endswith(f"/{name}")
    )
    found = look(Path(path).read_bytes())
    assert found is not None
    assert all(part.stop <= Path(path).stat().st_size for part in found.touched)


@pytest.mark.parametrize(
    ("at", "value"),
    [(4, b"\x01"), (5, b"\x02"), (54, b"\x20"), (56, b"\xff\xff"), (32, b"\xff" * 8), (0, b"x")],
)
def test_other_files_are_none(at: int, value: bytes) -> None:
    data = bytearray(library([]))
    data[at : at + len(value)] = value
    assert look(bytes(data)) is None


def test_sizes_that_no_file_has_are_refused() -> None:
    data = bytearray(library([]))
    struct.pack_into("<Q", data, 64 + 56 + 32, 1 << 63)  # of the second segment
    assert look(bytes(data)) is None


@given(st.binary(max_size=300), st.integers(0, 12288 + 200))
def test_whatever_a_file_says_is_bounded(change: bytes, at: int) -> None:
    data = bytearray(library(["libone.so.1", "libtwo.so"]))
    data[at : at + len(change)] = change
    found = look(bytes(data))
    if found is not None:
        assert len(found.names) <= 1_024
        assert all(len(part) <= 1 << 40 for part in found.touched)
