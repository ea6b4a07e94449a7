"""What must hold of a tree before anything is done with it. Pure; raises `CorruptError` only.

What is checked makes a tree safe to restore: no name leads out of the directory that holds it,
nothing lies below anything but a directory, and contents are exactly where the packs have them.
"""

from itertools import pairwise
from typing import Final

from bootseer.errors import CorruptError
from depsnap.limits import DEFAULT, Limits
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, Pack, Tree, lie_in, sort_key
from depsnap.tree.placement import frame_of_each

_MOST_ID: Final = (1 << 32) - 2
_MOST_TIME: Final = 1 << 63
_STAMP: Final = 1 << 32
_STAMPED_LEAST: Final = 16
"""Bytes of the header of compiled Python."""
_ATTRIBUTES: Final = ("user.", "security.capability", "system.posix_acl_")
_NO_NAMES: Final = frozenset({"", ".", ".."})
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
    _check_numbers(tree, limits)
    kinds = {entry.path: entry.kind for entry in tree.entries}
    _check_paths(tree, kinds, limits)
    packs = len(tree.packs)
    for entry in tree.entries:
        if not _is_plain(entry, packs):
            _check_kind(entry, kinds, packs, limits)
        if entry.xattrs or entry.extents is not None:
            _check_rare(entry, limits)
    frame_of_each(tree)


def check_inside(tree: Tree, roots: tuple[str, ...]) -> None:
    """Raise `CorruptError` if anything is changed outside of the roots."""
    inside = lie_in(tree.entries, roots)
    if len(inside) == len(tree.entries):
        return
    known = {entry.path for entry in inside}
    for entry in tree.entries:
        if entry.kind is not Kind.KEPT and entry.path not in known:
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


def _check_paths(tree: Tree, kinds: dict[str, Kind], limits: Limits) -> None:
    """Check all paths: together where nothing is unusual, and else one by one."""
    parted = [entry.path.rpartition("/") for entry in tree.entries]
    for above in {above for above, _, _ in parted}:
        if above and kinds.get(above) not in DIRECTORIES:
            raise refuse(above, "what is in it lies in no directory of the snapshot")
    names = {name for _, _, name in parted}
    usual = (
        all(map(str.isascii, kinds))
        and max(map(len, kinds), default=0) <= limits.path
        and max(map(len, names), default=0) <= limits.name
        and names.isdisjoint(_NO_NAMES)
        and not any("\0" in name for name in names)
    )
    for entry, (_, _, name) in () if usual else zip(tree.entries, parted, strict=True):
        _check_path(entry.path, name, limits)


def _is_plain(entry: Entry, packs: int) -> bool:
    """Say whether an entry is a file or a directory with nothing about it to look at."""
    if entry.target or entry.stamp != -1 or entry.extents is not None:
        return False
    if entry.kind is Kind.FILE:
        return 0 <= entry.pack < packs if entry.size else entry.pack == -1
    return entry.kind in DIRECTORIES and not entry.size and entry.pack == -1


def _check_path(path: str, name: str, limits: Limits) -> None:
    """Check a path by its last name. Those in front are entries, and checked, themselves."""
    if path.isascii():
        length, last = len(path), len(name)
    else:
        try:
            length = len(path.encode("utf-8", "surrogateescape"))
            last = len(name.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            raise refuse(path, "no path") from error
    if length > limits.path or "\0" in path:
        raise refuse(path, "no path")
    if name in _NO_NAMES or last > limits.name:
        raise refuse(path, "no path below the root")


def _check_numbers(tree: Tree, limits: Limits) -> None:
    """Check columns as a whole: there are too many entries to look at each."""
    entries = tree.entries
    for what, values, low, high in (
        ("mode", [entry.mode for entry in entries], 0, 0o7777),
        ("owner", [entry.uid for entry in entries], 0, _MOST_ID),
        ("owner", [entry.gid for entry in entries], 0, _MOST_ID),
        ("time", [entry.mtime_ns for entry in entries], -_MOST_TIME, _MOST_TIME - 1),
        ("size", [entry.size for entry in entries], 0, limits.file),
    ):
        if values and not low <= min(values) <= max(values) <= high:
            row = next(row for row, value in enumerate(values) if not low <= value <= high)
            raise refuse(entries[row].path, f"no {what}")


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
