"""A reader of stored snapshots, written from `docs/formats/dependency-snapshot.md` alone."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import zstandard


def read_snapshot(store: Path, job: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return (head, entries by path) of a job's newest generation, contents included."""
    (key,) = (store / "snapshots" / job).iterdir()
    digest, _, text = max(key.iterdir()).read_bytes().partition(b"\n")
    assert hashlib.sha256(text).hexdigest() == digest.decode()
    head = json.loads(text)
    data = (store / "trees" / head["tree"]["digest"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == head["tree"]["digest"]
    assert len(data) == head["tree"]["size"]
    tree = json.loads(zstandard.ZstdDecompressor().decompress(data))
    names = ("modes", "uids", "gids", "mtimes", "sizes", "packed", "stamps")
    entries = [
        {"path": path, "kind": kind, **dict(zip(names, values, strict=True))}
        for path, kind, *values in zip(
            tree["paths"], tree["kinds"], *(tree[name] for name in names), strict=True
        )
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
