"""eStargz and zstd:chunked layers made by their specifications, tables changed at will.

Where a test needs no damage, `foreign_layers` has layers made by the formats' own libraries.
"""

import gzip
import json
import struct
import tarfile
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import zstandard

from bootseer.digests import digest_of
from snapshotter.layers.foreign import chunked

CHUNK = 1000

Entries: TypeAlias = list[dict[str, Any]]
Change = Callable[[Entries], Entries]


def same_entries(entries: Entries) -> Entries:
    """Change nothing."""
    return entries


def header(name: str, size: int) -> bytes:
    """Return the tar header of a file."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def made(files: Mapping[str, bytes], pack: Callable[[bytes], bytes]) -> tuple[bytes, Entries]:
    """Lay files out as both formats do; return the blob so far and the table's entries."""
    blob, entries, waiting = bytearray(), [], b""
    for name, data in files.items():
        waiting += header(name, len(data))
        entry: dict[str, Any] = {"name": name, "type": "reg", "size": len(data), "mode": 0o644}
        entry["digest"] = digest_of(data)
        for at in range(0, len(data), CHUNK):
            blob += pack(waiting)
            waiting = piece = data[at : at + CHUNK]
            place: dict[str, Any] = {"offset": len(blob), "chunkOffset": at}
            place |= {"chunkSize": len(piece), "chunkDigest": digest_of(piece)}
            entries.append((entry if not at else {"name": name, "type": "chunk"}) | place)
        if not data:
            entries.append(entry)
        waiting += bytes(-len(data) % 512)
    return bytes(blob + pack(waiting)), entries


def make_estargz(files: Mapping[str, bytes], change: Change = same_entries) -> tuple[bytes, bytes]:
    """Return an eStargz blob and its table."""
    blob, entries = made(files, lambda data: gzip.compress(data, mtime=0))
    table = json.dumps({"version": 1, "entries": change(entries)}).encode()
    tar = header("stargz.index.json", len(table)) + table + bytes(-len(table) % 512 + 1024)
    extra = b"SG" + struct.pack("<H", 22) + b"%016xSTARGZ" % len(blob)
    footer = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H", len(extra)) + extra
    footer += b"\x01\x00\x00\xff\xff" + struct.pack("<II", 0, 0)
    return blob + gzip.compress(tar, mtime=0) + footer, table


def make_chunked(
    files: Mapping[str, bytes], change: Change = same_entries
) -> tuple[bytes, chunked.Place]:
    """Return a zstd:chunked blob, and where its table is."""
    blob, entries = made(files, zstandard.compress)
    table = zstandard.compress(json.dumps({"version": 1, "entries": change(entries)}).encode())
    frame = b"\x50\x2a\x4d\x18" + struct.pack("<I", len(table))
    place = chunked.Place(digest_of(table), len(blob) + len(frame), len(table))
    return blob + frame + table, place
