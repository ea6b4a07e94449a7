"""What WebHDFS answers, parsed with bounds: bytes in, records out. Raises `CorruptError` only.

Shapes as in Hadoop's documentation, "WebHDFS REST API", JSON schemas.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from bootseer.errors import CorruptError

_LONGEST_TEXT: Final = 300
_LARGEST: Final = 1 << 63
_TOKEN: Final = re.compile("[A-Za-z0-9_-]{1,4096}")
_OCTAL: Final = re.compile("[0-7]{1,4}")


@dataclass(frozen=True, slots=True)
class Fault:
    """A RemoteException."""

    exception: str
    """Name of the Java class, without its package; empty if the answer was none of Hadoop's."""
    message: str
    """One printable line."""


@dataclass(frozen=True, slots=True)
class Status:
    """A FileStatus."""

    name: str
    """Last word of the path; empty for the path that was asked for."""
    directory: bool
    size: int
    modified_ms: int
    """Since 1970."""
    accessed_ms: int
    """Since 1970; 0 for directories."""
    mode: int
    """Permission bits."""
    owner: str
    group: str
    number: int
    """HDFS' inode number: no other file has it or will ever have it."""

    @property
    def modified(self) -> float:
        """Seconds since 1970."""
        return self.modified_ms / 1000


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of a file system."""

    total: int
    free: int


@dataclass(frozen=True, slots=True)
class DataNode:
    """A DataNode that the NameNode hears of."""

    address: str
    """`host:port` of its HTTP server."""
    transfer: str
    """`host:port` of its data transfer, by which it is named elsewhere."""
    silent_s: int
    """Seconds since it was heard last."""
    serves: bool
    """In service: neither being retired nor in maintenance."""


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """A block of a file."""

    offset: int
    length: int
    names: tuple[str, ...]
    """`host:port` of the data transfer of each DataNode that has a copy."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Part of a directory, by name."""

    entries: tuple[Status, ...]
    more: bool


def parse_fault(data: bytes) -> Fault:
    """Return what an answer that is an error says. Never fails."""
    try:
        found = json.loads(data)["RemoteException"]
        exception, message = str(found["exception"]), str(found["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return Fault("", "")
    return Fault(_line(exception), _line(message.partition("\n")[0]))


def parse_status(data: bytes) -> Status:
    """Return the answer to GETFILESTATUS."""
    return _status(_member(_document(data), "FileStatus"))


def parse_batch(data: bytes) -> Batch:
    """Return the answer to LISTSTATUS_BATCH."""
    listing = _member(_document(data), "DirectoryListing")
    statuses = _member(_member(_member(listing, "partialListing"), "FileStatuses"), "FileStatus")
    if not isinstance(statuses, list):
        raise _wrong("FileStatus is no list")
    entries = tuple(map(_status, statuses))
    more = _number(listing, "remainingEntries") > 0
    if more and not (entries and entries[-1].name):
        raise _wrong("a part of a list has no last name")
    return Batch(entries, more)


def parse_boolean(data: bytes) -> bool:
    """Return the answer to DELETE."""
    found = _member(_document(data), "boolean")
    if not isinstance(found, bool):
        raise _wrong("boolean is none")
    return found


def parse_token(data: bytes) -> str:
    """Return the token in the answer to GETDELEGATIONTOKEN."""
    text = _member(_member(_document(data), "Token"), "urlString")
    if not isinstance(text, str) or _TOKEN.fullmatch(text) is None:
        raise _wrong("urlString is no token")
    return text


def parse_number(data: bytes) -> int:
    """Return the answer to RENEWDELEGATIONTOKEN: milliseconds since 1970."""
    return _number(_document(data), "long")


def parse_home(data: bytes) -> str:
    """Return whose home directory the answer to GETHOMEDIRECTORY is."""
    name = _name(_document(data), "Path").rpartition("/")[2]
    if not name:
        raise _wrong("Path is nobody's")
    return name


def parse_room(data: bytes) -> Room:
    """Return the answer to GETSTATUS."""
    found = _member(_document(data), "FsStatus")
    return Room(_number(found, "capacity"), _number(found, "remaining"))


def parse_data_nodes(data: bytes, *, tls: bool = False) -> tuple[DataNode, ...]:
    """Return the live DataNodes, of a NameNode's bean `NameNodeInfo` (from its `/jmx`).

    `tls`: with their addresses for that.
    """
    beans = _member(_document(data), "beans")
    if not isinstance(beans, list) or not beans:
        raise _wrong("no beans")
    text = _member(beans[0], "LiveNodes")
    if not isinstance(text, str):
        raise _wrong("LiveNodes is no text")
    nodes = _document(text)
    if not isinstance(nodes, dict):
        raise _wrong("LiveNodes are none")
    found = [
        DataNode(
            _name(node, "infoSecureAddr" if tls else "infoAddr"),
            _name(node, "xferaddr"),
            _number(node, "lastContact"),
            _member(node, "adminState") == "In Service",
        )
        for node in nodes.values()
    ]
    return tuple(sorted(found, key=lambda node: node.address))


def parse_blocks(data: bytes) -> tuple[BlockPlace, ...]:
    """Return the answer to GETFILEBLOCKLOCATIONS."""
    found = _member(_member(_document(data), "BlockLocations"), "BlockLocation")
    if not isinstance(found, list):
        raise _wrong("BlockLocation is no list")
    return tuple(map(_block, found))


def parse_xattrs(data: bytes) -> dict[str, bytes]:
    """Return the answer to GETXATTRS with encoding `hex`."""
    found = _member(_document(data), "XAttrs")
    if not isinstance(found, list):
        raise _wrong("XAttrs is no list")
    return dict(map(_xattr, found))


def _xattr(found: Any) -> tuple[str, bytes]:
    value = _member(found, "value")
    if value is None:
        return _name(found, "name"), b""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise _wrong("value is not in hexadecimal digits")
    try:
        return _name(found, "name"), bytes.fromhex(value[2:])
    except ValueError as error:
        raise _wrong("value is not in hexadecimal digits") from error


def _block(found: Any) -> BlockPlace:
    names = _member(found, "names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _wrong("names are none")
    return BlockPlace(_number(found, "offset"), _number(found, "length"), tuple(names))


def _document(data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _wrong("not JSON") from error


def _status(found: Any) -> Status:
    kind, name = _member(found, "type"), _member(found, "pathSuffix")
    if kind not in ("FILE", "DIRECTORY", "SYMLINK"):
        raise _wrong("type is none")
    if not isinstance(name, str) or "/" in name:
        raise _wrong("pathSuffix is no name")
    size, modified = _number(found, "length"), _number(found, "modificationTime")
    permission = _member(found, "permission")
    if not isinstance(permission, str) or _OCTAL.fullmatch(permission) is None:
        raise _wrong("permission is none")
    return Status(
        name,
        kind == "DIRECTORY",
        size,
        modified,
        _number(found, "accessTime"),
        int(permission, 8),
        _name(found, "owner"),
        _name(found, "group"),
        _number(found, "fileId"),
    )


def _name(found: Any, member: str) -> str:
    name = _member(found, member)
    if not isinstance(name, str) or len(name) > _LONGEST_TEXT:
        raise _wrong(f"{member} is no name")
    return name


def _member(found: Any, name: str) -> Any:
    if not isinstance(found, dict) or name not in found:
        raise _wrong(f"it has no {name}")
    return found[name]


def _number(found: Any, name: str) -> int:
    number = _member(found, name)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _LARGEST:
        raise _wrong(f"{name} is no size")
    return number


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:_LONGEST_TEXT]).strip()


def _wrong(what: str) -> CorruptError:
    return CorruptError(f"WebHDFS answer: {what}", hint="is something else listening there?")
