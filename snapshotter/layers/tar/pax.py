"""PAX extended headers: their records, and what of a header they override.

Format: IEEE Std 1003.1, pax, "pax Header Block" and "pax Extended Header".
"""

from typing import Final, TypeAlias

from snapshotter.layers.tar.fields import FieldError, decimal, pax_time
from snapshotter.layers.tar.header import Header

Records: TypeAlias = dict[bytes, bytes]

SPARSE_MAP: Final = b"GNU.sparse.map"
XATTR: Final = b"SCHILY.xattr."
NO_RECORDS: Final[Records] = {}

_SPARSE_PAIR: Final = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_NO_NUL_IN_VALUE: Final = frozenset((b"path", b"linkpath", b"uname", b"gname"))


def parse(block: bytes) -> Records:
    """Read all records of an extended header; a later record of the same keyword wins.

    The offset and length records of GNU's sparse format 0.0, which repeat their keywords, come
    out as the map that format 0.1 has. Raises `FieldError`.
    """
    records: Records = {}
    sparse: list[bytes] = []
    at = 0
    while at < len(block):
        space = block.find(b" ", at)
        if space < 0:
            raise FieldError("a PAX record has no length")
        end = at + decimal(block[at:space])
        if end - at < 5 or end <= space + 1 or end > len(block) or block[end - 1] != 0x0A:
            raise FieldError("a PAX record's length is wrong")
        key, equals, value = block[space + 1 : end - 1].partition(b"=")
        if not equals or not key or 0 in (value if key in _NO_NUL_IN_VALUE else key):
            raise FieldError("a PAX record is malformed")
        if key in _SPARSE_PAIR:
            _collect(sparse, key, value)
        else:
            records[key] = value
        at = end
    if sparse:
        records[SPARSE_MAP] = b",".join(sparse)
    return records


def _collect(sparse: list[bytes], key: bytes, value: bytes) -> None:
    if key != _SPARSE_PAIR[len(sparse) % 2] or b"," in value:
        raise FieldError("GNU sparse records are out of order")
    sparse.append(value)


def override(header: Header, records: Records) -> tuple[Header, int]:
    """Return the header with the records' values in it, and the mtime's nanoseconds.

    An empty value leaves the header's own. Raises `FieldError`.
    """
    get = records.get
    for key in (b"atime", b"ctime"):  # only checked: EROFS keeps one time
        if text := get(key):
            pax_time(text)
    seconds, nanoseconds = pax_time(text) if (text := get(b"mtime")) else (header.mtime, 0)
    changed = Header(
        name=get(b"path") or header.name,
        mode=header.mode,
        uid=decimal(text) if (text := get(b"uid")) else header.uid,
        gid=decimal(text) if (text := get(b"gid")) else header.gid,
        size=decimal(text) if (text := get(b"size")) else header.size,
        mtime=seconds,
        typeflag=header.typeflag,
        linkname=get(b"linkpath") or header.linkname,
        major=header.major,
        minor=header.minor,
    )
    return changed, nanoseconds


def xattrs(records: Records) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes among the records: (name without the keyword, value)."""
    return tuple(
        (key[len(XATTR) :], value) for key, value in records.items() if key.startswith(XATTR)
    )
