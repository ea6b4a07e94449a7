"""Reads FlatBuffers (the format's "internals" document) without a schema. Pure, bounds-checked.

Offsets in a buffer may point anywhere, and many to one place: so what is read in all is limited by
a multiple of the buffer's size, whatever its tables say. Little-endian.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from bootseer.errors import CorruptError

_U8: Final = Struct("<B")
_U16: Final = Struct("<H")
_U32: Final = Struct("<I")
_I32: Final = Struct("<i")
_I64: Final = Struct("<q")
_AGAIN: Final = 4
"""How many times the buffer's size may be read, tables aside."""
_FREE: Final = 1 << 16


class Buffer:
    """The bytes, and how much of them may still be read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._budget = _AGAIN * len(data) + _FREE

    def root(self) -> "Table":
        """Return the root table. Raises `CorruptError`, as everything here."""
        return Table(self, self.number(_U32, 0))

    def number(self, form: Struct, at: int) -> int:
        """Return a number."""
        if not 0 <= at <= len(self._data) - form.size:
            raise CorruptError("a flat buffer's offset leads out of it")
        (value,) = form.unpack_from(self._data, at)
        return int(value)

    def follow(self, at: int) -> int:
        """Return what the offset that is stored at `at` points to."""
        return at + self.number(_U32, at)

    def span(self, at: int, width: int) -> tuple[int, int]:
        """Return start and length of the vector at `at`, of elements of `width` bytes."""
        length = self.number(_U32, at)
        start = at + _U32.size
        if length * width > len(self._data) - start:
            raise CorruptError("a flat buffer's vector leads out of it")
        self._budget -= length * width
        if self._budget < 0:
            raise CorruptError("a flat buffer says more than it holds")
        return start, length

    def content(self, at: int) -> bytes:
        """Return the string, or vector of bytes, at `at`."""
        start, length = self.span(at, 1)
        return self._data[start : start + length]


class Table:
    """A table in a buffer; its fields are numbered in the order of the schema."""

    __slots__ = ("_at", "_buffer", "_fields", "_size")

    def __init__(self, buffer: Buffer, at: int) -> None:
        self._buffer = buffer
        self._at = at
        self._fields = at - buffer.number(_I32, at)
        self._size = buffer.number(_U16, self._fields)

    def u8(self, field: int, default: int = 0) -> int:
        """Return a byte."""
        return self._number(_U8, field, default)

    def i32(self, field: int) -> int:
        """Return a number of 32 bits."""
        return self._number(_I32, field, 0)

    def u32(self, field: int) -> int:
        """Return a number of 32 bits without sign."""
        return self._number(_U32, field, 0)

    def i64(self, field: int) -> int:
        """Return a number of 64 bits."""
        return self._number(_I64, field, 0)

    def content(self, field: int) -> bytes:
        """Return a string or vector of bytes; empty if there is none."""
        at = self._place(field)
        return self._buffer.content(self._buffer.follow(at)) if at else b""

    def table(self, field: int) -> "Table | None":
        """Return a table, if there is one."""
        at = self._place(field)
        return Table(self._buffer, self._buffer.follow(at)) if at else None

    def tables(self, field: int, most: int) -> "Iterator[Table]":
        """Yield the tables of a vector, at most `most`."""
        for at in self._vector(field, most):
            yield Table(self._buffer, self._buffer.follow(at))

    def strings(self, field: int, most: int) -> Iterator[bytes]:
        """Yield the strings of a vector, at most `most`."""
        for at in self._vector(field, most):
            yield self._buffer.content(self._buffer.follow(at))

    def _vector(self, field: int, most: int) -> range:
        """Return where the offsets in a vector are."""
        at = self._place(field)
        if not at:
            return range(0)
        start, length = self._buffer.span(self._buffer.follow(at), _U32.size)
        if length > most:
            raise CorruptError(f"a flat buffer's vector of {length}, {most} are accepted")
        return range(start, start + length * _U32.size, _U32.size)

    def _number(self, form: Struct, field: int, default: int) -> int:
        at = self._place(field)
        return self._buffer.number(form, at) if at else default

    def _place(self, field: int) -> int:
        """Return where a field is; 0 if it is left out."""
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return 0
        offset = self._buffer.number(_U16, self._fields + entry)
        return self._at + offset if offset else 0
