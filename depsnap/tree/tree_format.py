"""The tree of a snapshot <-> bytes. The layout is in `docs/formats/dependency-snapshot.md`.

A line of JSON says what is said of few entries and how many there are; what is said of all of them
follows in columns, which take a tenth of the time that JSON would. The bytes are untrusted: counts
are compared with the limits and with the bytes that are there before anything is made of them.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate, islice, pairwise
from typing import Any, Final

import zstandard

from bootseer.documents import Node
from bootseer.errors import CorruptError
from depsnap.limits import DEFAULT, Limits
from depsnap.tree.check import check_digest, check_table, refuse
from depsnap.tree.entries import Frame, Pack, Tree
from depsnap.tree.planes import column_of, planes_of, size_of
from depsnap.tree.table import KINDS, Table, table_of, tree_of

VERSION: Final = 2
_LEVEL: Final = 3
_NUMBERS: Final = {
    "depths": "H",
    "modes": "H",
    "uids": "I",
    "gids": "I",
    "mtimes": "q",
    "sizes": "q",
    "packed": "i",
    "stamps": "q",
}
"""Columns of numbers with their codes."""
_FRAME: Final = "II"
"""Codes of the columns of frames: bytes in the pack, bytes of contents."""
_DIGEST: Final = 32


def encode_tree(tree: Tree, limits: Limits = DEFAULT) -> bytes:
    """Return the file for a tree. Equal trees give equal bytes with one version of zstd.

    Raises `CorruptError` when the tree is not valid: what cannot be read back is not written.
    """
    table = table_of(tree)
    check_table(table, limits)
    if table.paths != [entry.path for entry in tree.entries]:
        raise refuse("tree", "something lies in no directory of the snapshot")
    return encode_table(table, limits)


def encode_table(table: Table, limits: Limits = DEFAULT) -> bytes:
    """Return the file for a tree that was checked. Raises `CorruptError` if it is too large."""
    names = "\0".join(table.names).encode("utf-8", "surrogateescape")
    described: dict[str, Any] = {
        "version": VERSION,
        "entries": len(table.names),
        "names": len(names),
        "packs": [[one.digest, one.title, one.single, len(one.frames)] for one in table.packs],
        "targets": list(table.targets.items()),
        "xattrs": [
            [row, name, base64.b64encode(value).decode()]
            for row, xattrs in table.xattrs.items()
            for name, value in xattrs
        ],
        "extents": list(table.extents.items()),
    }
    if table.root:
        described["merkle_root"] = table.root
    line = json.dumps(described, separators=(",", ":")).encode()
    numbers = (planes_of(code, getattr(table, name)) for name, code in _NUMBERS.items())
    frames = [frame for pack in table.packs for frame in pack.frames]
    stored = planes_of(_FRAME[0], [frame.stored for frame in frames])
    contents = planes_of(_FRAME[1], [frame.raw for frame in frames])
    digests = bytes.fromhex("".join(frame.digest for frame in frames))
    columns = (names, table.kinds.encode(), *numbers, stored, contents, digests)
    raw = b"".join((line, b"\n", *columns))
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
    raw = _decompressed(data, limits)
    line = raw[: max(raw.find(b"\n"), 0)]
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise refuse("tree", "does not begin with a line of JSON") from error
    root = Node(value, "snapshot tree")
    version = root.required("version").integer(0, 1 << 32)
    if version != VERSION:
        raise CorruptError(
            f"snapshot tree: version {version}, this program reads version {VERSION}",
            hint="another version of bootseer wrote it",
        )
    count = root.required("entries").integer(0, limits.entries)
    size = root.required("names").integer(0, limits.tree)
    packs = [_pack(item, limits) for item in root.required("packs").items(limits.packs)]
    frames = sum(frames for *_, frames in packs)
    lengths = [size, count, *(size_of(code, count) for code in _NUMBERS.values())]
    lengths += [*(size_of(code, frames) for code in _FRAME), frames * _DIGEST]
    rest = memoryview(raw)[len(line) + 1 :]  # megabytes, which are not copied
    if len(rest) != sum(lengths):
        raise root.wrong(f"columns of {len(rest)} bytes, not {sum(lengths)}")
    texts, kinds, *columns = _cut(rest, lengths)
    numbers = map(column_of, _NUMBERS.values(), columns)
    depths, modes, uids, gids, mtimes, sizes, packed, stamps = numbers
    merkle_root = root.optional("merkle_root")
    return Table(
        _names(texts, count),
        depths,
        _kinds(kinds),
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
        _with_frames(packs, columns[len(_NUMBERS) :]),
        _digest(merkle_root) if merkle_root else "",
    )


def _cut(data: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    """Return pieces of these sizes, one behind the other."""
    return [data[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]


def _names(texts: memoryview, count: int) -> list[str]:
    names = str(texts, "utf-8", "surrogateescape").split("\0") if count else []
    if len(names) != count or (texts and not count):
        raise refuse("tree", f"{len(names)} names of {count} entries")
    return names


def _kinds(letters: memoryview) -> str:
    kinds = str(letters, "latin-1")
    if not KINDS.keys() >= set(kinds):
        raise refuse("tree", "a kind that is not known")
    return kinds


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


def _pack(node: Node, limits: Limits) -> tuple[str, str, bool, int]:
    """Return digest, title, whether it is of one file, and the number of frames of a pack."""
    match node.value:
        case [str(digest), str(title), bool(single), int(frames)] if not isinstance(frames, bool):
            if len(title) <= limits.title and 0 <= frames <= limits.frames:
                return digest, title, single, frames
    raise node.wrong("no pack")


def _with_frames(
    packs: Sequence[tuple[str, str, bool, int]], columns: Sequence[memoryview]
) -> tuple[Pack, ...]:
    """Return the packs; `columns`: those of all their frames, and digests."""
    *sizes, digests = columns
    text = digests.hex()
    names = [text[at : at + 2 * _DIGEST] for at in range(0, len(text), 2 * _DIGEST)]
    rows = zip(*map(column_of, _FRAME, sizes), names, strict=True)
    frames = map(partial(tuple.__new__, Frame), rows)  # as in `table.tree_of`
    return tuple(
        Pack(digest, title, single, tuple(islice(frames, count)))
        for digest, title, single, count in packs
    )


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
