"""What must hold of a tree before anything is done with it. Pure; raises `CorruptError` only.

What is checked makes a tree safe to restore: no name leads out of the directory that holds it,
nothing lies below anything but a directory, and contents are exactly where the packs have them.
"""

from itertools import pairwise
from typing import Final

from bootseer.errors import CorruptError
from depsnap.limits import DEFAULT, Limits
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, Pack, Tree, lies_in, parent, sort_key
from depsnap.tree.placement import frame_of_each

_MOST_ID: Final = (1 << 32) - 2
_MOST_TIME: Final = 1 << 63
_STAMP: Final = 1 << 32
_STAMPED_LEAST: Final = 16
"""Bytes of the header of compiled Python."""
_ATTRIBUTES: Final = ("user.", "security.capability", "system.posix_acl_")
_HEX: Final = frozenset("0123456789abcdef")


def refuse(where: str, problem: str) -> CorruptError:
    """Return the error that a tree has `problem` at `where`."""
    return CorruptError(f"snapshot tree: {ascii(where)[1:-1][:300]}: {problem}")


def check_tree(tree: Tree, limits: Limits = DEFAULT) -> None:
    """Raise `CorruptError` unless everything in the module's docstring holds."""
    if len(tree.entries) > limits.entries:
        raise refuse("entries", f"{len(tree.entries)}, accepted are {limits.entries}")
    if len(tree.packs) > limits.packs:
        raise refuse("packs", f"{len(tree.packs)}, accepted are {limits.packs}")
    for pack in tree.packs:
        _check_pack(pack, limits)
    _check_order(tree)
    kinds = {entry.path: entry.kind for entry in tree.entries}
    for entry in tree.entries:
        _check_path(entry.path, limits)
        above = parent(entry.path)
        if above and kinds.get(above) not in DIRECTORIES:
            raise refuse(entry.path, "what it is in is no directory of the snapshot")
        _check_numbers(entry, limits)
        _check_kind(entry, kinds, len(tree.packs), limits)
        _check_rare(entry, limits)
    frame_of_each(tree)


def check_inside(tree: Tree, roots: tuple[str, ...]) -> None:
    """Raise `CorruptError` if anything is changed outside of the roots."""
    for entry in tree.entries:
        if entry.kind is not Kind.KEPT and not any(lies_in(entry.path, root) for root in roots):
            raise refuse(entry.path, "lies outside of the snapshot's roots")


def check_digest(text: str, where: str) -> None:
    """Raise `CorruptError` unless `text` is a SHA-256 in hexadecimal."""
    if len(text) != 64 or not _HEX.issuperset(text):
        raise refuse(where, "no SHA-256")


def _check_order(tree: Tree) -> None:
    keys = [sort_key(entry.path) for entry in tree.entries]
    for before, after in pairwise(keys):
        if before >= after:
            raise refuse(after.replace("\0", "/"), "there twice, or not in order")


def _check_path(path: str, limits: Limits) -> None:
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise refuse(path, "no path") from error
    if len(raw) > limits.path or "\0" in path:
        raise refuse(path, "no path")
    # The names in front are those of directories that are entries, and checked, themselves.
    name = raw.rpartition(b"/")[2]
    if name in (b"", b".", b"..") or len(name) > limits.name:
        raise refuse(path, "no path below the root")


def _check_numbers(entry: Entry, limits: Limits) -> None:
    if not 0 <= entry.mode <= 0o7777:
        raise refuse(entry.path, "no mode")
    if not (0 <= entry.uid <= _MOST_ID and 0 <= entry.gid <= _MOST_ID):
        raise refuse(entry.path, "no owner")
    if not -_MOST_TIME <= entry.mtime_ns < _MOST_TIME:
        raise refuse(entry.path, "no time")
    if not 0 <= entry.size <= limits.file:
        raise refuse(entry.path, "no size")


def _check_kind(entry: Entry, kinds: dict[str, Kind], packs: int, limits: Limits) -> None:
    if entry.kind is Kind.FILE:
        if bool(entry.stored) != (0 <= entry.pack < packs):
            raise refuse(entry.path, "contents without a pack, or a pack without contents")
    elif entry.size or entry.pack != -1 or entry.extents is not None:
        raise refuse(entry.path, "contents of what is no file")
    if entry.stamp != -1 and not (
        0 <= entry.stamp < _STAMP and entry.size >= _STAMPED_LEAST and entry.extents is None
    ):
        raise refuse(entry.path, "no stamp")
    if entry.kind is Kind.SYMLINK:
        raw = _encoded(entry)
        if not 0 < len(raw) <= limits.symlink or b"\0" in raw:
            raise refuse(entry.path, "no target")
    elif entry.kind is Kind.HARDLINK:
        if kinds.get(entry.target) is not Kind.FILE:
            raise refuse(entry.path, "a link to what is no file of the snapshot")
    elif entry.target:
        raise refuse(entry.path, "a target of what is no link")


def _encoded(entry: Entry) -> bytes:
    try:
        return entry.target.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise refuse(entry.path, "no target") from error


def _check_rare(entry: Entry, limits: Limits) -> None:
    if entry.xattrs:
        if len(entry.xattrs) > limits.xattrs or entry.kind in (Kind.DELETED, Kind.HARDLINK):
            raise refuse(entry.path, "extended attributes")
        for name, value in entry.xattrs:
            usual = name.startswith(_ATTRIBUTES) and name.isascii() and "\0" not in name
            if not usual or len(name) > limits.name or len(value) > limits.xattr_value:
                raise refuse(entry.path, f"extended attribute {name[:100]!a}")
    if entry.extents is not None:
        if len(entry.extents) > limits.extents:
            raise refuse(entry.path, f"{len(entry.extents)} pieces")
        end = 0
        for offset, length in entry.extents:
            if offset < end or length <= 0 or offset + length > entry.size:
                raise refuse(entry.path, "pieces that overlap or lie outside")
            end = offset + length


def _check_pack(pack: Pack, limits: Limits) -> None:
    check_digest(pack.digest, "packs")
    if len(pack.title) > limits.title or not pack.title.isprintable():
        raise refuse("packs", "no title")
    if not 0 < len(pack.frames) <= limits.frames:
        raise refuse(pack.title, f"{len(pack.frames)} frames")
    for frame in pack.frames:
        check_digest(frame.digest, pack.title)
        if not (0 < frame.stored <= limits.frame_stored and 0 < frame.raw <= limits.frame):
            raise refuse(pack.title, f"a frame of {frame.stored} bytes for {frame.raw}")
