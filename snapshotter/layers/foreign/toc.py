"""The table of contents that eStargz and zstd:chunked share: JSON with one object a tar entry.

Formats: "eStargz: Standard-Compatible Extensions to Tar.gz Layers" (stargz-snapshotter), and
zstd:chunked (containers/storage), whose objects have a few members more. Pure.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from bootseer.digests import is_digest
from bootseer.errors import CorruptError
from snapshotter.layers.foreign.assembly import Piece
from snapshotter.layers.foreign.times import moment
from snapshotter.layers.tar.fields import FieldError
from snapshotter.layers.tar.member import Kind, Member, device_number
from snapshotter.limits import Limits

KINDS: Final = {
    "reg": Kind.FILE,
    "hardlink": Kind.HARDLINK,
    "symlink": Kind.SYMLINK,
    "char": Kind.CHARACTER,
    "block": Kind.BLOCK,
    "dir": Kind.DIRECTORY,
    "fifo": Kind.FIFO,
}
"""Types of entries, in the words that SOCI has too."""
_CHUNK: Final = "chunk"
_ZEROS: Final = "zeros"
_INT: Final = 2**63 - 1
_LOST: Final = "\ufffd"
"""What Go's JSON has in place of bytes that are no UTF-8: the name in the tar is another."""

_Entry = Mapping[str, Any]


class TocFile(NamedTuple):
    """One entry of the tar, and where its contents are."""

    member: Member
    """Without runs."""
    pieces: tuple[Piece, ...]
    """Files: all of it, in order."""


def parse_toc(data: bytes, limits: Limits) -> Iterator[TocFile]:
    """Yield the entries of a table, in the order of the tar.

    Raises:
        CorruptError: it is malformed, says less than must be known, or exceeds a limit.
    """
    entries = _entries(data, limits)
    row = 0
    while row < len(entries):
        first = row
        row += 1
        while row < len(entries) and _is_chunk(entries[row]):
            row += 1
        try:
            yield _file(entries[first:row], limits)
        except (FieldError, CorruptError) as error:
            reason = error.message if isinstance(error, CorruptError) else str(error)
            raise CorruptError(f"table of contents, entry {first}: {reason}") from error


def _entries(data: bytes, limits: Limits) -> list[_Entry]:
    if len(data) > limits.toc:
        raise CorruptError(f"table of contents of {len(data)} bytes, {limits.toc} are accepted")
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptError("table of contents: not a JSON document") from error
    if not isinstance(document, dict) or document.get("version") != 1:
        raise CorruptError("table of contents: not of version 1")
    entries = document.get("entries")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise CorruptError("table of contents: no list of entries")
    if len(entries) > limits.entries:
        raise CorruptError(f"table of contents with more than {limits.entries} entries")
    return entries


def _is_chunk(entry: _Entry) -> bool:
    return entry.get("type") == _CHUNK


def _file(entries: list[_Entry], limits: Limits) -> TocFile:
    """Return what an entry says, with the chunks that follow it."""
    entry = entries[0]
    kind = KINDS.get(_text(entry, "type"))
    if kind is None:
        raise CorruptError(f"type {_text(entry, 'type')[:40]!a}")
    size = _number(entry, "size") if kind is Kind.FILE else 0
    seconds, nanoseconds = moment(_text(entry, "modtime"))
    member = Member(
        path=_name(entry, "name"),
        kind=kind,
        mode=_number(entry, "mode"),
        uid=_number(entry, "uid", signed=True),
        gid=_number(entry, "gid", signed=True),
        mtime_s=seconds,
        mtime_ns=nanoseconds,
        size=size,
        linkname=_name(entry, "linkName"),
        rdev=_device(entry) if kind in (Kind.CHARACTER, Kind.BLOCK) else 0,
        xattrs=_xattrs(entry, limits),
        runs=(),
        tar_offset=0,
    )
    if not size:
        if len(entries) > 1:
            raise CorruptError("chunks of something without contents")
        return TocFile(member, ())
    return TocFile(member, tuple(_pieces(entries, size)))


def _pieces(entries: list[_Entry], size: int) -> Iterator[Piece]:
    at = 0
    for entry in entries:
        offset = _number(entry, "chunkOffset")
        length = _number(entry, "chunkSize") or size - offset
        if offset != at or not 0 < length <= size - offset:
            raise CorruptError(f"a chunk of {length} bytes at {offset} where {at} is next")
        if _number(entry, "innerOffset"):
            raise CorruptError("several files in one compressed stream", hint="serve it otherwise")
        zeros = _text(entry, "chunkType") == _ZEROS
        yield Piece(offset, length, _number(entry, "offset"), _digest(entry, size, length), zeros)
        at = offset + length
    if at != size:
        raise CorruptError(f"chunks of {at} bytes of a file of {size}")


def _digest(entry: _Entry, size: int, length: int) -> bytes:
    """Return the digest of a chunk; a file that is one chunk may have that of the file only."""
    text = _text(entry, "chunkDigest") or (_text(entry, "digest") if length == size else "")
    if not is_digest(text):
        raise CorruptError(f"a chunk's digest is {text[:80]!a}")
    return bytes.fromhex(text.removeprefix("sha256:"))


def _device(entry: _Entry) -> int:
    return device_number(_number(entry, "devMajor"), _number(entry, "devMinor"))


def _xattrs(entry: _Entry, limits: Limits) -> tuple[tuple[bytes, bytes], ...]:
    members = entry.get("xattrs") or {}
    if not isinstance(members, dict) or len(members) > limits.xattrs:
        raise CorruptError("xattrs are not an object")
    return tuple((_encoded(name, "xattrs"), _value(text)) for name, text in members.items())


def _value(text: object) -> bytes:
    if text is None:
        return b""
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CorruptError("an extended attribute is not base64") from error
    raise CorruptError("an extended attribute is not a string")


def _number(entry: _Entry, name: str, *, signed: bool = False) -> int:
    value = entry.get(name) or 0
    if type(value) is not int or not (-_INT if signed else 0) <= value <= _INT:
        raise CorruptError(f"{name} is no number of 63 bits")
    return value


def _text(entry: _Entry, name: str) -> str:
    value = entry.get(name) or ""
    if not isinstance(value, str):
        raise CorruptError(f"{name} is no string")
    return value


def _name(entry: _Entry, name: str) -> bytes:
    return _encoded(_text(entry, name), name)


def _encoded(text: str, name: str) -> bytes:
    """Return the bytes of a name in the tar."""
    if _LOST in text or "\0" in text:
        raise CorruptError(f"{name} had bytes that are no UTF-8", hint="serve it otherwise")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CorruptError(f"{name} is not Unicode") from error
