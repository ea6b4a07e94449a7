"""GNU tar's sparse files as PAX members: formats 0.0, 0.1 and 1.0 (GNU tar manual, appendix D).

A map is a list of (offset, length): where the pieces that lie in the stream belong in the file.
Pure arithmetic; the reader brings the bytes.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from snapshotter.layers.tar.fields import FieldError, decimal
from snapshotter.layers.tar.member import Run
from snapshotter.layers.tar.pax import SPARSE_MAP, Records

Map: TypeAlias = list[tuple[int, int]]

_MAX_PIECES: Final = 1 << 20


class Sparse(NamedTuple):
    """What the PAX records say of a sparse file."""

    name: bytes
    """The real name; empty where the header's own counts."""
    size: int | None
    """Length with holes; None where the header's own counts."""
    pieces: Map | None
    """The map; None where it stands in front of the data (format 1.0)."""


def described(records: Records) -> Sparse | None:
    """Return what the records say, or None for a file that is not sparse. Raises `FieldError`."""
    version = records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b"")
    if version == (b"", b""):
        if not records.get(SPARSE_MAP):
            return None
    elif version not in ((b"0", b"0"), (b"0", b"1"), (b"1", b"0")):
        return None
    size = records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize")
    return Sparse(
        records.get(b"GNU.sparse.name", b""),
        decimal(size) if size else None,
        None if version[0] == b"1" else _map_of(records),
    )


def _map_of(records: Records) -> Map:
    count = decimal(records.get(b"GNU.sparse.numblocks", b""))
    text = records.get(SPARSE_MAP, b"")
    numbers = text.split(b",") if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise FieldError("a sparse map has another length than it says")
    return _pairs(numbers)


def _pairs(numbers: Sequence[bytes]) -> Map:
    if len(numbers) > 2 * _MAX_PIECES:
        raise FieldError("a sparse map is too long")
    values = [decimal(text) for text in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


class MapInData:
    """Collects the map of format 1.0: decimal lines in whole blocks in front of the data.

    `add` takes one block after another and returns True when the map is complete.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._text = bytearray()
        self._lines = 0
        self._wanted = 1

    def add(self, block: bytes) -> bool:
        """Take the next block. Raises `FieldError` on nonsense and beyond the limit."""
        self._text += block
        if len(self._text) > self._limit:
            raise FieldError("a sparse map is too long")
        self._lines += block.count(b"\n")
        if self._wanted == 1 and self._lines:
            count = decimal(bytes(self._text[: self._text.index(b"\n")]))
            if not 0 <= count <= _MAX_PIECES:
                raise FieldError("a sparse map has an impossible length")
            self._wanted = 1 + 2 * count
        return self._lines >= self._wanted

    def pieces(self) -> Map:
        """Return the map, once complete. Raises `FieldError`."""
        lines = bytes(self._text).split(b"\n")
        return _pairs(lines[1 : self._wanted])

    @property
    def size(self) -> int:
        """Bytes taken so far, a multiple of 512."""
        return len(self._text)


def runs(pieces: Map, size: int, tar_offset: int, stored: int) -> tuple[Run, ...]:
    """Lay the map over `stored` bytes at `tar_offset`; `size` is the file's length with holes.

    The pieces ascend, do not overlap, stay inside the file and use up what is stored exactly,
    or it is a `FieldError`.
    """
    found = []
    end, at = 0, tar_offset
    for offset, length in pieces:
        if offset < end or length < 0 or offset + length > size:
            raise FieldError("a sparse map leaves its file or overlaps itself")
        if length:
            found.append(Run(offset, at, length))
        end, at = offset + length, at + length
    if at - tar_offset != stored:
        raise FieldError(f"a sparse map covers {at - tar_offset} bytes where {stored} are stored")
    return tuple(found)
