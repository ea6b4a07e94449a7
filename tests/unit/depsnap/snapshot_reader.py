"""A reader of stored snapshots, written from `docs/formats/dependency-snapshot.md` alone."""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import zstandard

COLUMNS = {
    "depths": (2, False),
    "modes": (2, False),
    "uids": (4, False),
    "gids": (4, False),
    "mtimes": (8, True),
    "sizes": (8, True),
    "packed": (4, True),
    "stamps": (8, True),
}
"""Of numbers: bytes of each, and whether they have a sign."""


def read_snapshot(store: Path, job: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return (head, entries by path) of a job's newest generation, contents included."""
    (key,) = (store / "snapshots" / job).iterdir()
    digest, _, text = max(key.iterdir()).read_bytes().partition(b"\n")
    assert hashlib.sha256(text).hexdigest() == digest.decode()
    head = json.loads(text)
    data = (store / "trees" / head["tree"]["digest"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == head["tree"]["digest"]
    assert len(data) == head["tree"]["size"]
    tree, rest = _tree(zstandard.ZstdDecompressor().decompress(data))
    count = tree["entries"]
    names, rest = rest[: tree["names"]], rest[tree["names"] :]
    kinds, rest = rest[:count].decode(), rest[count:]
    columns = {}
    for name, (width, signed) in COLUMNS.items():
        columns[name], rest = _numbers(rest, count, width, signed=signed)
    paths = _paths(names.split(b"\0"), columns.pop("depths"))
    _read_frames(tree["packs"], rest)
    entries = [
        {"path": os.fsdecode(path), "kind": kind, **dict(zip(columns, values, strict=True))}
        for path, kind, *values in zip(paths, kinds, *columns.values(), strict=True)
    ]
    for row, target in tree["targets"]:
        entries[row]["target"] = target
    for row, name, value in tree["xattrs"]:
        entries[row].setdefault("xattrs", {})[name] = base64.b64decode(value)
    for row, extents in tree["extents"]:
        entries[row]["extents"] = extents
    contents = [_contents(store, pack) for pack in tree["packs"]]
    offsets = [0] * len(contents)
    for entry in entries:
        if entry["kind"] == "f":
            entry["content"] = _content(entry, tree["packs"], contents, offsets)
    return head, {entry["path"]: entry for entry in entries}


def _tree(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what the line of a tree says, and the columns behind it."""
    line, _, columns = raw.partition(b"\n")
    tree = json.loads(line)
    assert tree["version"] == 2
    names = ("digest", "title", "single", "frames")
    tree["packs"] = [dict(zip(names, pack, strict=True)) for pack in tree["packs"]]
    return tree, columns


def _paths(names: list[bytes], depths: list[int]) -> list[bytes]:
    """Return the paths of names: one that lies deeper than the one before lies in that."""
    found: list[bytes] = []
    above: list[bytes] = []
    for name, depth in zip(names, depths, strict=True):
        above = [*above[:depth], name]
        assert len(above) == depth + 1
        found.append(b"/".join(above))
    return found


def _numbers(data: bytes, count: int, width: int, *, signed: bool) -> tuple[list[int], bytes]:
    """Return a column in byte planes, and what is behind it."""
    planes = [data[plane * count : (plane + 1) * count] for plane in range(width)]
    rows = zip(*planes, strict=True)
    return [int.from_bytes(row, "little", signed=signed) for row in rows], data[width * count :]


def _read_frames(packs: list[dict[str, Any]], data: bytes) -> None:
    """Put the frames of each pack in the place of their number."""
    count = sum(pack["frames"] for pack in packs)
    stored, data = _numbers(data, count, 4, signed=False)
    contents, data = _numbers(data, count, 4, signed=False)
    digests = [data[at : at + 32].hex() for at in range(0, len(data), 32)]
    frames = zip(stored, contents, digests, strict=True)
    for pack in packs:
        pack["frames"] = [next(frames) for _ in range(pack["frames"])]


def _contents(store: Path, pack: dict[str, Any]) -> bytes:
    data = (store / "packs" / pack["digest"][:2] / pack["digest"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == pack["digest"]
    found, at = b"", 0
    for stored, raw, digest in pack["frames"]:
        frame = data[at : at + stored]
        assert hashlib.sha256(frame).hexdigest() == digest
        content = zstandard.ZstdDecompressor().decompress(frame)
        assert len(content) == raw
        found, at = found + content, at + stored
    assert at == len(data)
    return found


def _content(
    entry: dict[str, Any], packs: list[dict[str, Any]], contents: list[bytes], offsets: list[int]
) -> bytes:
    if entry["packed"] < 0:
        return bytes(entry["sizes"])
    pack = entry["packed"]
    extents = entry.get("extents", [[0, entry["sizes"]]])
    length = sum(size for _, size in extents)
    start = 0 if packs[pack]["single"] else offsets[pack]
    offsets[pack] += length
    data = contents[pack][start : start + length]
    found = bytearray(entry["sizes"])
    for offset, size in extents:
        found[offset : offset + size], data = data[:size], data[size:]
    if entry["stamps"] >= 0:
        found[8:12] = entry["stamps"].to_bytes(4, "little")
    return bytes(found)
