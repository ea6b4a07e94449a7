"""eStargz: gzip layers with a table of contents behind the tar's last file. Pure.

    member ... member | member with the tar entry stargz.index.json | footer

A file's bytes, or each 4 MiB of them, start a gzip member of their own; headers of what follows are
in the same one. The footer is an empty member whose extra field says where the table begins.
"""

import re
import zlib
from hashlib import sha256
from typing import Final, NamedTuple

from bootseer.errors import CorruptError
from snapshotter.layers.foreign.assembly import Assembler, Layer, Piece
from snapshotter.layers.foreign.toc import parse_toc
from snapshotter.layers.records import Codec, LayerIndex
from snapshotter.layers.tar.member import Kind, Member
from snapshotter.layers.tar.reader import TarReader
from snapshotter.limits import Limits

FOOTER: Final = 51
"""Bytes of the footer."""

_footer = re.compile(
    rb"\x1f\x8b\x08\x04.{6}\x1a\x00SG\x16\x00([0-9a-fA-F]{16})STARGZ.{13}", re.DOTALL
).fullmatch
_TABLE: Final = b"stargz.index.json"
_SPECIAL_BITS: Final = 0o7000
_AROUND: Final = 1 << 20
"""Most bytes of tar around the table: headers and padding."""


def toc_offset(footer: bytes, layer_size: int) -> int:
    """Return where in a layer the table of contents begins; `footer`: its last bytes.

    Raises:
        CorruptError: this is no eStargz layer.
    """
    match = _footer(footer[-FOOTER:])
    if match is None:
        raise CorruptError("layer ends without eStargz' footer")
    offset = int(match[1], 16)
    if offset >= layer_size - FOOTER:
        raise CorruptError(f"table of contents at {offset} of {layer_size} bytes")
    return offset


class _Table(NamedTuple):
    """The table, as the tar has it."""

    json: bytes
    member: Member
    lead: bytes
    """The tar's bytes in front of it, in the same gzip member."""


def convert(layer: Layer, toc_digest: str, end: bytes, limits: Limits) -> LayerIndex:
    """Return the index of a layer; `end` is the blob from where the table begins.

    Raises:
        CorruptError: `end` holds no table of this digest, or it cannot be used.
    """
    table = _table(end, limits)
    found = f"sha256:{sha256(table.json).hexdigest()}"
    if found != toc_digest:
        raise CorruptError(f"table of contents is {found}, the manifest says {toc_digest}")
    start = layer.size - len(end)
    assembler = Assembler(layer, Codec.GZIP, limits)
    for file in parse_toc(table.json, limits):
        assembler.add(*file)
    digest = sha256(table.lead + table.json).digest()
    whole = Piece(0, len(table.json), start, digest, lead=len(table.lead))
    assembler.add(table.member, [whole])
    return assembler.finish(layer.size)


def _table(end: bytes, limits: Limits) -> _Table:
    tar = _inflated(end, limits.toc + _AROUND)
    members = TarReader(limits).feed(tar)
    member = members[0] if members else None
    if member is None or member.kind is not Kind.FILE or member.path != _TABLE:
        raise CorruptError(f"no {_TABLE.decode()} where eStargz' footer says")
    if len(member.runs) != 1 or member.xattrs or member.mode & _SPECIAL_BITS:
        # The digest of the table is not over its header: nothing there may matter.
        raise CorruptError(f"{_TABLE.decode()} has a header that says more than its size")
    _, at, length = member.runs[0]
    if at + length > len(tar):
        raise CorruptError("table of contents is cut short")
    return _Table(tar[at : at + length], member, tar[:at])


def _inflated(end: bytes, most: int) -> bytes:
    engine = zlib.decompressobj(wbits=31)
    try:
        tar = engine.decompress(end, most)
    except zlib.error as error:
        raise CorruptError(f"table of contents is damaged: {error}") from error
    if not engine.eof:
        raise CorruptError(f"table of contents is cut short, or larger than {most} bytes")
    return tar
