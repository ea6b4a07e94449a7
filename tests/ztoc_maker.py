"""SOCI's zTOC of a layer, made by its schema (`ztoc.fbs`), of checkpoints that our indexer finds.

Where a test needs no damage, `foreign_layers` has zTOCs made by SOCI's own library.
"""

import io
import struct
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from bootseer.digests import digest_of
from snapshotter.layers.indexer import IndexedLayer, LayerIndexer
from snapshotter.layers.windows import unpack

TYPES = {
    tarfile.REGTYPE: b"reg",
    tarfile.LNKTYPE: b"hardlink",
    tarfile.SYMTYPE: b"symlink",
    tarfile.CHRTYPE: b"char",
    tarfile.BLKTYPE: b"block",
    tarfile.DIRTYPE: b"dir",
    tarfile.FIFOTYPE: b"fifo",
}

Value: TypeAlias = "bytes | tuple[str, int] | Fields | Sequence[Value]"
"""A string or vector of bytes, a number with its struct format, a table, a vector of either."""
Fields: TypeAlias = Mapping[int, Value]


@dataclass(frozen=True)
class Ztoc:
    """What a zTOC says."""

    files: tuple[Fields, ...]
    compressed: int
    uncompressed: int
    digests: tuple[bytes, ...]
    checkpoints: bytes
    compression: int = 1

    def encode(self) -> bytes:
        """Return it as SOCI stores it."""
        return flat_buffer(
            {
                0: b"0.9",
                1: b"bootseer's tests",
                2: ("q", self.compressed),
                3: ("q", self.uncompressed),
                4: {0: self.files},
                5: {
                    0: ("b", self.compression),
                    1: ("i", len(self.digests) - 1),
                    2: self.digests,
                    3: self.checkpoints,
                },
            }
        )


def flat_buffer(root: Fields) -> bytes:
    """Return a flat buffer with this root table."""
    buffer = bytearray(4)
    struct.pack_into("<I", buffer, 0, _table(buffer, root))
    return bytes(buffer)


def _table(buffer: bytearray, fields: Fields) -> int:
    """Append a table and all that it refers to; return where it is."""
    count = max(fields, default=-1) + 1
    fields_at = len(buffer)
    forms = {number: _form(fields[number]) for number in sorted(fields)}
    places, size = {}, 4
    for number, form in forms.items():
        places[number] = size
        size += struct.calcsize(form)
    buffer += struct.pack("<HH", 4 + 2 * count, size)
    buffer += struct.pack(f"<{count}H", *(places.get(number, 0) for number in range(count)))
    at = len(buffer)
    buffer += struct.pack("<i", at - fields_at) + bytes(size - 4)
    for number, value in fields.items():
        place = at + places[number]
        if isinstance(value, tuple) and value and isinstance(value[0], str):
            struct.pack_into(forms[number], buffer, place, value[1])
        else:
            _refer(buffer, place, value)
    return at


def _form(value: Value) -> str:
    is_number = isinstance(value, tuple) and bool(value) and isinstance(value[0], str)
    return f"<{value[0]}" if is_number else "<I"  # type: ignore[str-bytes-safe]


def _refer(buffer: bytearray, place: int, value: Value) -> None:
    """Append a value and let the offset at `place` lead to it."""
    if isinstance(value, Mapping):
        struct.pack_into("<I", buffer, place, _table(buffer, value) - place)
        return
    struct.pack_into("<I", buffer, place, len(buffer) - place)
    buffer += struct.pack("<I", len(value))
    if isinstance(value, bytes):
        buffer += value + b"\0"
        return
    first = len(buffer)
    buffer += bytes(4 * len(value))
    for row, item in enumerate(value):
        _refer(buffer, first + 4 * row, item)  # type: ignore[arg-type]


def ztoc_of(blob: bytes, tar: bytes, spacing: int = 64 << 10) -> Ztoc:
    """Return what a zTOC says of a layer of one gzip member."""
    indexer = LayerIndexer(spacing=spacing)
    indexer.feed(blob)
    indexed = indexer.finish()
    spans = _spans(indexed)
    checkpoints = struct.pack("<iq", len(spans), spacing)
    checkpoints += b"".join(struct.pack("<qqB", *span[:3]) + span[3] for span in spans)
    starts = [span[0] - (span[2] > 0) for span in spans]
    ends = [*(span[0] for span in spans[1:]), len(blob)]
    return Ztoc(
        files=tuple(files_of(tar)),
        compressed=len(blob),
        uncompressed=len(tar),
        digests=tuple(
            digest_of(blob[start:end]).encode() for start, end in zip(starts, ends, strict=True)
        ),
        checkpoints=checkpoints,
    )


def _spans(indexed: IndexedLayer) -> list[tuple[int, int, int, bytes]]:
    """Return the checkpoints as SOCI has them: blob, tar, bits, window."""
    chunks, windows = indexed.index.chunks, indexed.windows_blob
    found = []
    for row in range(len(chunks.bits)):
        start, end = int(chunks.window[row]), int(chunks.window[row + 1])
        window = unpack(windows[start:end]).rjust(32 << 10, b"\0")
        bits = int(chunks.bits[row])
        blob = int(chunks.blob[row]) + int(chunks.skip[row]) + (bits > 0)
        found.append((blob, int(chunks.tar[row]), 8 - bits if bits else 0, window))
    return found


def files_of(tar: bytes) -> list[Fields]:
    """Return the entries of a tar as a zTOC has them."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return [
            {
                0: member.name.encode(),
                1: TYPES[member.type],
                2: ("q", member.offset_data),
                3: ("q", member.size),
                4: member.linkname.encode(),
                5: ("q", member.mode),
                6: ("I", member.uid),
                7: ("I", member.gid),
                10: b"2023-11-14T22:13:20Z" if member.mtime else b"",
                11: ("q", member.devmajor),
                12: ("q", member.devminor),
                13: [
                    {0: key.encode(), 1: text.encode("utf-8", "surrogateescape")}
                    for key, text in member.pax_headers.items()
                ],
            }
            for member in opened
        ]


def changed(ztoc: Ztoc, change: Callable[[list[dict[int, Value]]], None]) -> Ztoc:
    """Return a zTOC with other files."""
    files = [dict(one) for one in ztoc.files]
    change(files)
    return replace(ztoc, files=tuple(files))
