"""The tree of a snapshot <-> bytes. The layout is in `docs/formats/dependency-snapshot.md`."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import zstandard

from bootseer.documents import Node
from bootseer.errors import CorruptError
from depsnap.limits import DEFAULT, Limits
from depsnap.tree.check import check_digest, check_table, refuse
from depsnap.tree.entries import Frame, Pack, Tree
from depsnap.tree.table import KINDS, Table, table_of, tree_of

VERSION: Final = 1
_LEVEL: Final = 3
_NUMBERS: Final = ("modes", "uids", "gids", "mtimes", "sizes", "packed", "stamps")
"""Columns of numbers, in the order of `Table`'s."""

T = TypeVar("T")


def encode_tree(tree: Tree, limits: Limits = DEFAULT) -> bytes:
    """Return the file for a tree. Equal trees give equal bytes with one version of zstd.

    Raises `CorruptError` when the tree is not valid: what cannot be read back is not written.
    """
    table = table_of(tree)
    check_table(table, limits)
    return encode_table(table, limits)


def encode_table(table: Table, limits: Limits = DEFAULT) -> bytes:
    """Return the file for a tree that was checked. Raises `CorruptError` if it is too large."""
    document: dict[str, Any] = {
        "version": VERSION,
        "packs": [
            {
                "digest": pack.digest,
                "title": pack.title,
                "single": pack.single,
                "frames": [list(frame) for frame in pack.frames],
            }
            for pack in table.packs
        ],
        "paths": table.paths,
        "kinds": table.kinds,
        **{name: getattr(table, name) for name in _NUMBERS},
        "targets": list(table.targets.items()),
        "xattrs": [
            [row, name, base64.b64encode(value).decode()]
            for row, xattrs in table.xattrs.items()
            for name, value in xattrs
        ],
        "extents": list(table.extents.items()),
    }
    if table.root:
        document["merkle_root"] = table.root
    raw = json.dumps(document, separators=(",", ":")).encode()
    if len(raw) > limits.tree:
        raise refuse("tree", f"takes {len(raw)} bytes, the limit is {limits.tree}")
    return zstandard.ZstdCompressor(level=_LEVEL).compress(raw)


def decode_tree(data: bytes, limits: Limits = DEFAULT) -> Tree:
    """Return the tree that a file holds, validated. Raises `CorruptError` and nothing else."""
    return tree_of(decode_table(data, limits))


def decode_table(data: bytes, limits: Limits = DEFAULT) -> Table:
    """Return the tree that a file holds, in columns. As `decode_tree`."""
    table = parse_table(data, limits)
    check_table(table, limits)
    return table


def parse_table(data: bytes, limits: Limits = DEFAULT) -> Table:
    """Return the tree that a file holds, of the right types, but not checked (`check_table`).

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
    paths = _column(root.required("paths"), str, limits)
    kinds = root.required("kinds").string(limits.entries)
    numbers = [_column(root.required(name), int, limits) for name in _NUMBERS]
    if any(len(column) != len(paths) for column in (kinds, *numbers)):
        raise root.wrong("columns of different lengths")
    if not KINDS.keys() >= set(kinds):
        raise root.wrong("a kind that is not known")
    modes, uids, gids, mtimes, sizes, packed, stamps = numbers
    count = len(paths)
    merkle_root = root.optional("merkle_root")
    return Table(
        paths,
        kinds,
        modes,
        uids,
        gids,
        mtimes,
        sizes,
        packed,
        stamps,
        _targets(root.required("targets"), count, limits),
        _xattrs(root.required("xattrs"), count, limits),
        _extents(root.required("extents"), count, limits),
        tuple(_pack(node, limits) for node in root.required("packs").items(limits.packs)),
        _digest(merkle_root) if merkle_root else "",
    )


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
    return Pack(
        node.required("digest").string(),
        node.required("title").string(limits.title),
        single,
        _frames(node.required("frames"), limits),
    )


def _frames(node: Node, limits: Limits) -> tuple[Frame, ...]:
    """Return the frames of a pack. Not node by node: a large file has thousands."""
    rows = node.value
    if not isinstance(rows, list) or len(rows) > limits.frames:
        raise node.wrong(f"not a list of at most {limits.frames}")
    if not all(isinstance(row, list) and len(row) == len(Frame._fields) for row in rows):
        raise node.wrong("no frames")
    for kind, values in zip((int, int, str), zip(*rows, strict=True), strict=False):
        if not set(map(type, values)) <= {kind}:
            raise node.wrong("no frames")
    return tuple(map(Frame._make, rows))


def _column(node: Node, kind: type[T], limits: Limits) -> list[T]:
    """Return a list of values of one type. Not node by node: there are many."""
    if not isinstance(node.value, list) or len(node.value) > limits.entries:
        raise node.wrong(f"not a list of at most {limits.entries}")
    if not set(map(type, node.value)) <= {kind}:
        raise node.wrong(f"not only {kind.__name__}")
    return node.value


def _rows(node: Node, count: int, limits: Limits) -> Iterator[tuple[Node, int, list[Any]]]:
    """Yield what stands of few entries: the item, the row, and the rest of it."""
    for item in node.items(limits.entries):
        match item.value:
            case [int(row), *rest] if 0 <= row < count:
                yield item, row, rest
            case _:
                raise item.wrong("of no entry")


def _targets(node: Node, count: int, limits: Limits) -> dict[int, str]:
    found: dict[int, str] = {}
    for item, row, rest in _rows(node, count, limits):
        match rest:
            case [str(target)]:
                found[row] = target
            case _:
                raise item.wrong("no target")
    return {row: target for row, target in found.items() if target}


def _xattrs(node: Node, count: int, limits: Limits) -> dict[int, tuple[tuple[str, bytes], ...]]:
    found: dict[int, list[tuple[str, bytes]]] = {}
    for item, row, rest in _rows(node, count, limits):
        match rest:
            case [str(name), str(text)]:
                found.setdefault(row, []).append((name, _bytes(item, text)))
            case _:
                raise item.wrong("no attribute")
    return {row: tuple(xattrs) for row, xattrs in found.items()}


def _bytes(node: Node, text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise node.wrong("no attribute") from error


def _extents(node: Node, count: int, limits: Limits) -> dict[int, tuple[tuple[int, int], ...]]:
    found: dict[int, tuple[tuple[int, int], ...]] = {}
    for item, row, rest in _rows(node, count, limits):
        match rest:
            case [list(extents)] if all(_is_extent(extent) for extent in extents):
                found[row] = tuple((offset, length) for offset, length in extents)
            case _:
                raise item.wrong("no pieces")
    return found


def _is_extent(value: object) -> bool:
    match value:
        case [int(), int()]:
            return not any(isinstance(number, bool) for number in value)
    return False
