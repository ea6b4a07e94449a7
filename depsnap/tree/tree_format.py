"""The tree of a snapshot <-> bytes. The layout is in `docs/formats/dependency-snapshot.md`."""

import base64
import binascii
import json
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any, Final, TypeVar

import zstandard

from bootseer.documents import Node
from bootseer.errors import CorruptError
from depsnap.limits import DEFAULT, Limits
from depsnap.tree.check import check_digest, check_tree, refuse
from depsnap.tree.entries import Entry, Frame, Kind, Pack, Tree

VERSION: Final = 1
_LEVEL: Final = 3
_NUMBERS: Final = ("modes", "uids", "gids", "mtimes", "sizes", "packed", "stamps")
"""Columns of numbers, in the order of the fields of `Entry`."""
_KINDS: Final = {kind.value: kind for kind in Kind}

T = TypeVar("T")


def encode_tree(tree: Tree, limits: Limits = DEFAULT) -> bytes:
    """Return the file for a tree. Equal trees give equal bytes with one version of zstd.

    Raises `CorruptError` when the tree is not valid: what cannot be read back is not written.
    """
    check_tree(tree, limits)
    rows = list(enumerate(tree.entries))
    document: dict[str, Any] = {
        "version": VERSION,
        "packs": [
            {
                "digest": pack.digest,
                "title": pack.title,
                "single": pack.single,
                "frames": [list(frame) for frame in pack.frames],
            }
            for pack in tree.packs
        ],
        "paths": [entry.path for entry in tree.entries],
        "kinds": "".join(entry.kind.value for entry in tree.entries),
        "modes": [entry.mode for entry in tree.entries],
        "uids": [entry.uid for entry in tree.entries],
        "gids": [entry.gid for entry in tree.entries],
        "mtimes": [entry.mtime_ns for entry in tree.entries],
        "sizes": [entry.size for entry in tree.entries],
        "packed": [entry.pack for entry in tree.entries],
        "stamps": [entry.stamp for entry in tree.entries],
        "targets": [[row, entry.target] for row, entry in rows if entry.target],
        "xattrs": [
            [row, name, base64.b64encode(value).decode()]
            for row, entry in rows
            for name, value in entry.xattrs
        ],
        "extents": [[row, entry.extents] for row, entry in rows if entry.extents is not None],
    }
    if tree.root:
        document["merkle_root"] = tree.root
    raw = json.dumps(document, separators=(",", ":")).encode()
    if len(raw) > limits.tree:
        raise refuse("tree", f"takes {len(raw)} bytes, the limit is {limits.tree}")
    return zstandard.ZstdCompressor(level=_LEVEL).compress(raw)


def decode_tree(data: bytes, limits: Limits = DEFAULT) -> Tree:
    """Return the tree that a file holds, validated. Raises `CorruptError` and nothing else."""
    tree = parse_tree(data, limits)
    check_tree(tree, limits)
    return tree


def parse_tree(data: bytes, limits: Limits = DEFAULT) -> Tree:
    """Return the tree that a file holds, of the right types, but not checked (`check.check_tree`).

    Raises `CorruptError` and nothing else.
    """
    try:
        value = json.loads(_decompressed(data, limits))
    except (ValueError, RecursionError) as error:
        raise refuse("tree", "not a JSON document") from error
    root = Node(value, "snapshot tree")
    version = root.required("version").integer(0, 1 << 32)
    if version != VERSION:
        raise CorruptError(
            f"snapshot tree: version {version}, this program reads version {VERSION}",
            hint="another version of bootseer wrote it",
        )
    packs = tuple(_pack(node, limits) for node in root.required("packs").items(limits.packs))
    merkle_root = root.optional("merkle_root")
    return Tree(_entries(root, limits), packs, _digest(merkle_root) if merkle_root else "")


def _digest(node: Node) -> str:
    check_digest(text := node.string(), "merkle_root")
    return text


def _decompressed(data: bytes, limits: Limits) -> bytes:
    if len(data) > limits.tree_stored:
        raise refuse("tree", f"{len(data)} bytes, accepted are {limits.tree_stored}")
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size > limits.tree:
            raise refuse("tree", f"{size} bytes, accepted are {limits.tree}")
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(
            data, max_output_size=limits.tree, allow_extra_data=False
        )
    except (zstandard.ZstdError, MemoryError) as error:
        raise refuse("tree", "not one zstd frame that names its size") from error


def _pack(node: Node, limits: Limits) -> Pack:
    single = node.required("single").value
    if not isinstance(single, bool):
        raise node.wrong("'single' is not true or false")
    frames = node.required("frames").items(limits.frames)
    return Pack(
        node.required("digest").string(),
        node.required("title").string(limits.title),
        single,
        tuple(_frame(frame, limits) for frame in frames),
    )


def _frame(node: Node, limits: Limits) -> Frame:
    match node.value:
        case [int(stored), int(raw), str(digest)]:
            return Frame(stored, raw, digest)
    raise node.wrong(f"no frame, at most {limits.frame} bytes")


def _entries(root: Node, limits: Limits) -> tuple[Entry, ...]:
    paths = _column(root.required("paths"), str, limits)
    kinds = root.required("kinds").string(limits.entries)
    numbers = [_column(root.required(name), int, limits) for name in _NUMBERS]
    if any(len(column) != len(paths) for column in (kinds, *numbers)):
        raise root.wrong("columns of different lengths")
    if not _KINDS.keys() >= set(kinds):
        raise root.wrong("a kind that is not known")
    usual = (repeat(""), repeat(()), repeat(None))
    rows = zip(paths, map(_KINDS.__getitem__, kinds), *numbers, *usual, strict=False)
    # What `Entry._make` does, less a call of Python's for each of them.
    entries: list[Entry] = list(map(partial(tuple.__new__, Entry), rows))
    _fill_in(root.required("targets"), entries, _with_target, limits)
    _fill_in(root.required("xattrs"), entries, _with_xattr, limits)
    _fill_in(root.required("extents"), entries, _with_extents, limits)
    return tuple(entries)


def _column(node: Node, kind: type[T], limits: Limits) -> list[T]:
    """Return a list of values of one type. Not node by node: there are many."""
    if not isinstance(node.value, list) or len(node.value) > limits.entries:
        raise node.wrong(f"not a list of at most {limits.entries}")
    if not set(map(type, node.value)) <= {kind}:
        raise node.wrong(f"not only {kind.__name__}")
    return node.value


def _fill_in(
    node: Node,
    entries: list[Entry],
    put: Callable[[Entry, list[Any]], Entry | None],
    limits: Limits,
) -> None:
    for item in node.items(limits.entries):
        match item.value:
            case [int(row), *rest] if 0 <= row < len(entries):
                filled = put(entries[row], rest)
                if filled is None:
                    raise item.wrong("not what belongs here")
                entries[row] = filled
            case _:
                raise item.wrong("of no entry")


def _with_target(entry: Entry, rest: list[Any]) -> Entry | None:
    match rest:
        case [str(target)]:
            return entry._replace(target=target)
    return None


def _with_xattr(entry: Entry, rest: list[Any]) -> Entry | None:
    match rest:
        case [str(name), str(text)]:
            try:
                value = base64.b64decode(text.encode("ascii"), validate=True)
            except (binascii.Error, UnicodeEncodeError):
                return None
            return entry._replace(xattrs=(*entry.xattrs, (name, value)))
    return None


def _with_extents(entry: Entry, rest: list[Any]) -> Entry | None:
    match rest:
        case [list(extents)] if all(_is_extent(extent) for extent in extents):
            return entry._replace(extents=tuple((offset, length) for offset, length in extents))
    return None


def _is_extent(value: object) -> bool:
    match value:
        case [int(), int()]:
            return not any(isinstance(number, bool) for number in value)
    return False
