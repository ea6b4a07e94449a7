"""What must hold of a tree before anything is done with it. Pure; raises `CorruptError` only.

What is checked makes a tree safe to restore: no name leads out of the directory that holds it,
nothing lies below anything but a directory, and contents are exactly where the packs have them.
"""

import re
from collections.abc import Sequence
from typing import Final

from bootseer.errors import CorruptError
from depsnap.limits import DEFAULT, Limits
from depsnap.tree.entries import DIRECTORIES, Kind, Pack, lies_in, prefixes
from depsnap.tree.placement import frame_of_each
from depsnap.tree.table import Table

_MOST_ID: Final = (1 << 32) - 2
_MOST_TIME: Final = 1 << 63
_STAMP: Final = 1 << 32
_STAMPED_LEAST: Final = 16
"""Bytes of the header of compiled Python."""
_ATTRIBUTES: Final = ("user.", "security.capability", "system.posix_acl_")
_FILE: Final = Kind.FILE.value
_LINKS: Final = (Kind.SYMLINK, Kind.HARDLINK)
_WITHOUT_XATTRS: Final = (Kind.DELETED, Kind.HARDLINK)
_NO_NAMES: Final = frozenset({"", ".", ".."})
_HEX: Final = re.compile("[0-9a-f]*")


def refuse(where: str, problem: str) -> CorruptError:
    """Return the error that a tree has `problem` at `where`."""
    return CorruptError(f"snapshot tree: {ascii(where)[1:-1][:300]}: {problem}")


def check_table(table: Table, limits: Limits = DEFAULT) -> None:
    """Raise `CorruptError` unless everything in the module's docstring holds."""
    if len(table.names) > limits.entries:
        raise refuse("entries", f"{len(table.names)}, accepted are {limits.entries}")
    if len(table.packs) > limits.packs:
        raise refuse("packs", f"{len(table.packs)}, accepted are {limits.packs}")
    for pack in table.packs:
        _check_pack(pack, limits)
    _check_order(table)
    _check_names(table, limits)
    _check_numbers(table, limits)
    _check_extents(table, limits)
    stored = table.stored()
    _check_contents(table, stored)
    _check_links(table, limits)
    _check_xattrs(table, limits)
    frame_of_each(table.packs, table.packed, stored)


def check_inside(table: Table, roots: tuple[str, ...]) -> None:
    """Raise `CorruptError` if anything is changed outside of the roots."""
    if "" in roots:
        return
    below = prefixes(roots)
    # The many first: they are asked for nothing but how their path begins.
    apart = [row for row, path in enumerate(table.paths) if not path.startswith(below)]
    for row in apart:
        path = table.paths[row]
        if table.kinds[row] != Kind.KEPT and not any(lies_in(path, root) for root in roots):
            raise refuse(path, "lies outside of the snapshot's roots")


def check_digest(text: str, where: str) -> None:
    """Raise `CorruptError` unless `text` is a SHA-256 in hexadecimal."""
    if len(text) != 64 or not _HEX.fullmatch(text):
        raise refuse(where, "no SHA-256")


def _check_order(table: Table) -> None:
    """Check that all that an entry is in is a directory in front of it, and names are sorted.

    Sorted by `sort_key`, that is: names have no NUL and no slash (`_check_names`).
    """
    last: list[str] = []
    """The latest name at each depth, down to the entry before."""
    for row, (name, depth) in enumerate(zip(table.names, table.depths, strict=True)):
        if depth < len(last):
            if name <= last[depth]:
                raise refuse(table.paths[row], "there twice, or not in order")
            del last[depth:]
        elif depth > len(last) or (row and table.kinds[row - 1] not in DIRECTORIES):
            raise refuse(table.paths[row], "lies in no directory of the snapshot")
        last.append(name)


def _check_names(table: Table, limits: Limits) -> None:
    """Check all names and paths: together where nothing is unusual, and else one by one."""
    names = set(table.names)
    text = "".join(names)
    usual = (
        text.isascii()
        and "\0" not in text
        and "/" not in text
        and max(map(len, names), default=0) <= limits.name
        and max(map(len, table.paths), default=0) <= limits.path
        and names.isdisjoint(_NO_NAMES)
    )
    for path, name in () if usual else zip(table.paths, table.names, strict=True):
        _check_name(path, name, limits)


def _check_name(path: str, name: str, limits: Limits) -> None:
    if path.isascii():
        length, last = len(path), len(name)
    else:
        try:
            length = len(path.encode("utf-8", "surrogateescape"))
            last = len(name.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            raise refuse(path, "no path") from error
    if length > limits.path or "\0" in name or "/" in name:
        raise refuse(path, "no path")
    if name in _NO_NAMES or last > limits.name:
        raise refuse(path, "no path below the root")


def _check_numbers(table: Table, limits: Limits) -> None:
    for what, values, low, high in (
        ("mode", table.modes, 0, 0o7777),
        ("owner", table.uids, 0, _MOST_ID),
        ("owner", table.gids, 0, _MOST_ID),
        ("time", table.mtimes, -_MOST_TIME, _MOST_TIME - 1),
        ("size", table.sizes, 0, limits.file),
        ("stamp", table.stamps, -1, _STAMP - 1),
        ("pack", table.packed, -1, len(table.packs) - 1),
    ):
        if values and not low <= min(values) <= max(values) <= high:
            row = next(row for row, value in enumerate(values) if not low <= value <= high)
            raise refuse(table.paths[row], f"no {what}")


def _check_contents(table: Table, stored: Sequence[int]) -> None:
    """Check that files with contents have a pack, and nothing else has; numbers were checked."""
    columns = (table.kinds, table.sizes, stored, table.packed, table.stamps)
    for row, (kind, size, contents, pack, stamp) in enumerate(zip(*columns, strict=True)):
        if kind == _FILE:
            if (contents > 0) != (pack >= 0):
                problem = "contents without a pack, or a pack without contents"
                raise refuse(table.paths[row], problem)
        elif size or pack >= 0 or row in table.extents:
            raise refuse(table.paths[row], "contents of what is no file")
        if stamp >= 0 and (size < _STAMPED_LEAST or row in table.extents):
            raise refuse(table.paths[row], "no stamp")


def _check_links(table: Table, limits: Limits) -> None:
    for row in table.targets:
        if table.kinds[row] not in _LINKS:
            raise refuse(table.paths[row], "a target of what is no link")
    for row in table.rows_of((Kind.SYMLINK,)):
        raw = _encoded(table.paths[row], table.targets.get(row, ""))
        if not 0 < len(raw) <= limits.symlink or b"\0" in raw:
            raise refuse(table.paths[row], "no target")
    links = table.rows_of((Kind.HARDLINK,))
    files = {table.paths[row] for row in table.rows_of((Kind.FILE,))} if links else set()
    for row in links:
        if table.targets.get(row) not in files:
            raise refuse(table.paths[row], "a link to what is no file of the snapshot")


def _encoded(path: str, target: str) -> bytes:
    try:
        return target.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise refuse(path, "no target") from error


def _check_xattrs(table: Table, limits: Limits) -> None:
    for row, xattrs in table.xattrs.items():
        path = table.paths[row]
        if len(xattrs) > limits.xattrs or table.kinds[row] in _WITHOUT_XATTRS:
            raise refuse(path, "extended attributes")
        for name, value in xattrs:
            usual = name.startswith(_ATTRIBUTES) and name.isascii() and "\0" not in name
            if not usual or len(name) > limits.name or len(value) > limits.xattr_value:
                raise refuse(path, f"extended attribute {name[:100]!a}")


def _check_extents(table: Table, limits: Limits) -> None:
    for row, extents in table.extents.items():
        path = table.paths[row]
        if len(extents) > limits.extents:
            raise refuse(path, f"{len(extents)} pieces")
        end = 0
        for offset, length in extents:
            if offset < end or length <= 0 or offset + length > table.sizes[row]:
                raise refuse(path, "pieces that overlap or lie outside")
            end = offset + length


def _check_pack(pack: Pack, limits: Limits) -> None:
    check_digest(pack.digest, "packs")
    if len(pack.title) > limits.title or not pack.title.isprintable():
        raise refuse("packs", "no title")
    if not 0 < len(pack.frames) <= limits.frames:
        raise refuse(pack.title, f"{len(pack.frames)} frames")
    stored, raw, digests = zip(*pack.frames, strict=True)
    if set(map(len, digests)) != {64} or not _HEX.fullmatch("".join(digests)):
        raise refuse(pack.title, "no SHA-256")
    for values, most in ((stored, limits.frame_stored), (raw, limits.frame)):
        if not 0 < min(values) <= max(values) <= most:
            problem = f"a frame of {min(values)} to {max(values)} bytes, accepted are {most}"
            raise refuse(pack.title, problem)
