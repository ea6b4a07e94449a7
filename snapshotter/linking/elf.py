"""What the dynamic loader reads of an ELF file: program headers and dynamic section. Pure.

Specification: System V ABI, "Object Files" and "Program Loading and Dynamic Linking"; the tags of
GNU from glibc's elf.h. Only 64-bit little-endian files, which are those of the machines we run on.
The bytes are an image's: whatever they say is at most looked up, and bounded by `Limits` and by the
size of what may be read.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from snapshotter.limits import DEFAULT, Limits

MAGIC: Final = b"\x7fELF"
FRONT: Final = 4096
"""Bytes at the beginning of a file that hold its program headers, in all that linkers write."""

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM: Final = struct.Struct("<IIQQQQQQ")
_ENTRY: Final = struct.Struct("<qQ")
_CLASS_64, _LITTLE = 2, 1
_LOAD, _DYNAMIC = 1, 2
_WRITABLE: Final = 2
_TABLE: Final = 1 << 32
"""Bytes of a table, at most."""
_NEEDED, _PLT_SIZE, _STRINGS, _RELA, _RELA_SIZE, _PLT = 1, 2, 5, 7, 8, 23
_RELR_SIZE, _RELR = 35, 36


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the file that is mapped into memory."""

    offset: int
    """In the file."""
    address: int
    """In memory, from where the file is mapped."""
    size: int
    """Bytes in the file."""
    writable: bool


@dataclass(frozen=True, slots=True)
class Front:
    """What the program headers say."""

    segments: tuple[Segment, ...]
    dynamic: range
    """Where the dynamic section is in the file."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What the dynamic section says. Offsets in the file."""

    names: tuple[int, ...]
    """Where the names of the libraries are that it needs; each ends with a NUL."""
    touched: tuple[range, ...]
    """What the loader walks through from end to end: relocations, and what they change."""


def read_front(data: bytes | bytearray, limits: Limits = DEFAULT) -> Front | None:
    """Parse the beginning of a file; None: it is nothing that has a dynamic section, or hostile."""
    if len(data) < _HEADER.size or not data.startswith(MAGIC):
        return None
    ident, *_, table, _, _, _, entry, count, _, _, _ = _HEADER.unpack_from(data)
    if ident[4:6] != bytes((_CLASS_64, _LITTLE)) or entry != _PROGRAM.size:
        return None
    if count > limits.elf_segments or table + count * entry > len(data):
        return None
    segments, dynamic = [], range(0)
    for number in range(count):
        kind, flags, offset, address, _, size, _, _ = _PROGRAM.unpack_from(
            data, table + number * entry
        )
        if max(offset, address, size) > limits.layer:
            return None
        if kind == _LOAD:
            segments.append(Segment(offset, address, size, bool(flags & _WRITABLE)))
        elif kind == _DYNAMIC:
            dynamic = range(offset, offset + min(size, limits.elf_dynamic))
    return Front(tuple(segments), dynamic) if dynamic else None


def read_dynamic(front: Front, data: bytes | bytearray, limits: Limits = DEFAULT) -> Dynamic:
    """Parse the dynamic section of a file; what makes no sense in it is left out."""
    needed: list[int] = []
    values: dict[int, int] = {}
    for tag, value in _entries(data):
        if tag == _NEEDED:
            needed.append(value)
        else:
            values.setdefault(tag, value)
    strings = _in_file(front.segments, values.get(_STRINGS, 0))
    names = [strings + at for at in needed[: limits.elf_needed]] if strings is not None else []
    tables = ((_RELA, _RELA_SIZE), (_RELR, _RELR_SIZE), (_PLT, _PLT_SIZE))
    touched = [*_tables(front.segments, values, tables)]
    touched += [range(s.offset, s.offset + s.size) for s in front.segments if s.writable]
    return Dynamic(tuple(names), tuple(part for part in touched if part))


def _entries(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    for at in range(0, len(data) - _ENTRY.size + 1, _ENTRY.size):
        tag, value = _ENTRY.unpack_from(data, at)
        if tag == 0:
            return
        yield tag, value


def _tables(
    segments: Sequence[Segment], values: Mapping[int, int], tables: Sequence[tuple[int, int]]
) -> Iterator[range]:
    for where, size in tables:
        start = _in_file(segments, values.get(where, 0))
        if start is not None:
            yield range(start, start + min(values.get(size, 0), _TABLE))


def _in_file(segments: Sequence[Segment], address: int) -> int | None:
    """Return the file offset of what is mapped to an address."""
    for one in segments:
        if one.address <= address < one.address + one.size:
            return one.offset + address - one.address
    return None
