"""Targets: files of our own formats that others may have written: hot blocks, snapshots, stripes.

And what lies in striped files, as far as it is looked at. Each of our own begins with digests or
check sums, behind which no change of a byte gets. So an input is read twice: as a file, and as the
body of one whose sums are right.
"""

import hashlib
import io
import struct
import zipfile
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
import zstandard

from bootseer.errors import CorruptError
from depsnap.key.ingredients import Ingredient
from depsnap.snapshots.head import Head, decode_head, encode_head
from depsnap.tree.entries import Entry, Frame, Kind, Pack, Tree
from depsnap.tree.tree_format import decode_tree, encode_tree, parse_table
from fuse_hdfs.checksums import crc32c
from fuse_hdfs.files.torch_archive import order_of
from fuse_hdfs.striping.layout import Extent, Manifest, Segment, SegmentId
from fuse_hdfs.striping.manifest import FRONT, decode, encode, size_in_front
from snapshotter.dependencies.image import image_of
from snapshotter.hot.hashtree import HashTree, tree_of_area
from snapshotter.hot.pack import PackSettings, build_pack
from snapshotter.hot.pack_layout import HEAD, PackHead, directory_digest, parse_head
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hot.record_format import decode as decode_record
from snapshotter.hot.record_format import encode as encode_record
from snapshotter.hot.unpack import Expected, PackStream
from snapshotter.layers.format import encode as encode_index
from snapshotter.layers.records import BLOCK
from snapshotter.limits import DEFAULT
from snapshotter.linking import elf
from tooling.fuzz.target import Target, must

_DIGEST: Final = "sha256:" + "5" * 64
_HEX: Final = "5" * 64
_RECORD_FRONT: Final = struct.Struct("<8sIII32s")
_STRIPED_FRONT: Final = struct.Struct("<8sIIQQI")
_UNIT: Final = 1 << 20


def run_record(data: bytes) -> None:
    """A record of a start: what is read can be written, and reads the same."""
    stored = zstandard.ZstdCompressor(level=1).compress(data)
    digest = hashlib.sha256(stored).digest()
    front = _RECORD_FRONT.pack(b"BSEERHOT", 1, len(stored), len(data), digest)
    for file in (data, front + stored):
        try:
            record = decode_record(file)
        except CorruptError:
            continue
        again = encode_record(record)
        must(encode_record(decode_record(again)) == again, "a record reads differently")


def _records() -> list[bytes]:
    whole = encode_record(_record())
    return [whole, zstandard.ZstdDecompressor().decompress(whole[_RECORD_FRONT.size :])]


@cache
def _record() -> Record:
    layers = tuple(HotLayer(f"sha256:{n:064x}", _DIGEST, 40 * BLOCK) for n in range(3))
    rows = [(0, 5, 3), (2, 0, 2), (0, 1, 2), (1, 30, 10)]
    return Record(
        manifest_digest=_DIGEST,
        workload="train",
        created=1_700_000_000,
        window_ms=60_000,
        length_ms=50_000,
        ended=Ended.WINDOW,
        kernel="6.18.0",
        architecture="x86_64",
        layers=layers,
        ranges=make_ranges(rows),
        time_ms=np.arange(len(rows), dtype=np.int64),
    )


@cache
def _areas() -> tuple[bytes, ...]:
    chance = np.random.default_rng(1)
    return tuple(chance.bytes(20 * BLOCK) + bytes(20 * BLOCK) for _ in range(3))


@cache
def _trees() -> dict[int, HashTree]:
    def tree(area: bytes) -> HashTree:
        return tree_of_area(lambda at, size: area[at : at + size], len(area))

    return {number: tree(area) for number, area in enumerate(_areas())}


def run_pack(data: bytes) -> None:
    """A hot pack, as it streams in: every block that comes out is the layer's."""
    for file in (data, _sealed_pack(data)):
        _stream_pack(file)


def _stream_pack(file: bytes) -> None:
    layers = _record().layers
    expected = {
        layer.layer_digest: Expected(_trees()[number].root, layer.data_size)
        for number, layer in enumerate(layers)
    }
    rows = {layer.layer_digest: number for number, layer in enumerate(layers)}
    stream = PackStream(expected)
    try:
        for at in range(0, len(file), 5000):
            stream.receive(file[at : at + 5000])
            while (frame := stream.next_frame()) is not None:
                for part in frame:
                    area = _areas()[rows[part.layer_digest]]
                    right = (area[block * BLOCK : (block + 1) * BLOCK] for block in part.blocks)
                    must(bytes(part.data) == b"".join(right), "blocks are not the layer's")
    except CorruptError:
        return


def _sealed_pack(data: bytes) -> bytes:
    """Return the pack with the digest that its head must have, where it has a head."""
    try:
        head: PackHead = parse_head(data)
    except CorruptError:
        return data
    head = replace(head, digest=directory_digest(head, data[HEAD.size : head.hashes_at]))
    return head.pack() + data[HEAD.size :]


def _packs() -> list[bytes]:
    def read(row: int, offset: int, length: int) -> bytes:
        return _areas()[row][offset : offset + length]

    return [build_pack(_record(), read, _trees(), PackSettings(frame_blocks=4, level=1))]


def run_snapshot(data: bytes) -> None:
    """Head and tree of a dependency snapshot: what is read can be written, and reads the same."""
    sealed = hashlib.sha256(data).hexdigest().encode() + b"\n" + data
    for file in (data, sealed):
        try:
            head = decode_head(file)
        except CorruptError:
            continue
        must(decode_head(encode_head(head)) == head, "a head reads differently")
    for file in (data, zstandard.ZstdCompressor(level=1).compress(data)):
        # An image is made before it is known whether the tree is right. That may fail, and it ends.
        with suppress(Exception):
            encode_index(image_of(parse_table(file), _DIGEST).index, compressed=False)
        try:
            tree = decode_tree(file)
        except CorruptError:
            continue
        must(decode_tree(encode_tree(tree)) == tree, "a tree reads differently")


def _snapshots() -> list[bytes]:
    frame = Frame(10, 12, _HEX)
    packs = (Pack(_HEX, "alpha 1.0", False, (frame,)), Pack("4" * 64, "b", True, (frame, frame)))
    entries = (
        Entry("lib", Kind.KEPT, 0o755),
        Entry("lib/a.py", Kind.FILE, 0o644, 1, 2, 3, size=12, pack=0, xattrs=(("user.x", b"1"),)),
        Entry("lib/big", Kind.FILE, 0o600, size=30, pack=1, extents=((0, 12), (18, 12))),
        Entry("lib/gone", Kind.DELETED),
        Entry("lib/hard", Kind.HARDLINK, 0o644, 1, 2, 3, target="lib/a.py"),
        Entry("lib/soft", Kind.SYMLINK, 0o777, target="../x"),
    )
    tree = encode_tree(Tree(entries, packs))
    head = Head(
        name="train",
        key=_HEX,
        created=1_700_000_000,
        fresh_until=1_800_000_000,
        command=("pip", "install", "alpha"),
        roots=("/usr/lib",),
        capture="overlay",
        seconds=12.5,
        ingredients=(Ingredient("python", _HEX, ("3.11",)),),
        tree=_HEX,
        tree_size=len(tree),
        entries=len(entries),
        size=54,
        stored=30,
        users={0: "root"},
        groups={0: "root"},
    )
    whole = encode_head(head)
    raw = zstandard.ZstdDecompressor().decompress(tree)
    return [whole, whole.partition(b"\n")[2], tree, raw]


def run_stripes(data: bytes) -> None:
    """The manifest of a striped file: what is read is written as the same bytes."""
    for file in (data, _sealed_stripes(data)):
        try:
            size = size_in_front(file)
            manifest = decode(file)
        except CorruptError:
            continue
        must(manifest.size == size, "the front has another size")
        must(encode(manifest) == file, "a manifest has other bytes")


def _sealed_stripes(data: bytes) -> bytes:
    """Return a manifest with right check sums: 12 bytes are unit and size, the rest is its body."""
    unit, size = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:12], "little")
    body = data[12:]
    front = _STRIPED_FRONT.pack(b"BSEERSTR", 1, unit, size, FRONT + len(body), crc32c(body))
    return front + crc32c(front).to_bytes(4, "little") + body


def _stripes() -> list[bytes]:
    one = Segment(SegmentId("1" * 32), 2, 3, _UNIT, b"abcd" * 3)
    two = Segment(SegmentId("2" * 32), 1, 1, 100, b"efgh")
    extents = (Extent(one.id, 0, 3), Extent(None, 0, 2), Extent(two.id, 0, 1))
    whole = encode(Manifest(_UNIT, 5 * _UNIT + 100, (one, two), extents))
    sizes = _UNIT.to_bytes(4, "little") + (5 * _UNIT + 100).to_bytes(8, "little")
    return [whole, sizes + whole[FRONT:]]


def run_torch_archive(data: bytes) -> None:
    """The end of a file of torch.save: whatever it says, each byte of the file is read once."""
    size = len(data) + 1000
    order = order_of(size, data)
    if order is None:
        return
    found = sorted((part.start, part.end) for part in order.stretches(0, size))
    edges = [0, *(end for _, end in found)]
    must([start for start, _ in found] == edges[:-1], "parts overlap, or leave something out")
    must(edges[-1] == size, "not all of the file is read")


def _torch_archives() -> list[bytes]:
    made = io.BytesIO(bytes(1000))
    made.seek(1000)
    with zipfile.ZipFile(made, "a") as file:
        file.writestr("a/data.pkl", b"")
        for number in (0, 1, 10, 2):
            file.writestr(f"a/data/{number}", bytes(100))
    return [made.getvalue()[1000:]]


def run_elf(data: bytes) -> None:
    """The beginning of a program, and a dynamic section that it is followed by."""
    front = elf.read_front(data[: elf.FRONT])
    if front is None:
        return
    found = elf.read_dynamic(front, data[front.dynamic.start : front.dynamic.stop])
    must(len(found.names) <= DEFAULT.elf_needed, "too many libraries")
    must(all(len(part) <= DEFAULT.layer for part in found.touched), "a part without bounds")


def _programs() -> list[bytes]:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, 4096, 4096, 4096)
    dynamic = struct.pack("<IIQQQQQQ", 2, 6, 176, 176, 176, 96, 96, 8)
    entries = ((1, 1), (5, 64), (7, 128), (8, 48), (23, 100), (2, 24))
    return [header + load + dynamic + b"".join(struct.pack("<qQ", *one) for one in entries)]


TARGETS = (
    Target("elf", run_elf, _programs, 8 << 10),
    Target("hot-record", run_record, _records),
    Target("hot-pack", run_pack, _packs, 256 << 10),
    Target("dependency-snapshot", run_snapshot, _snapshots),
    Target("torch-archive", run_torch_archive, _torch_archives, 8 << 10),
    Target("stripes", run_stripes, _stripes, 16 << 10),
)
