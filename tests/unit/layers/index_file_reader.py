"""A second reader of layer index files, written from `docs/formats/layer-index.md` alone."""

import hashlib
import struct

import zstandard


def sections(file: bytes) -> dict[int, bytes]:
    magic, version, count, size = struct.unpack_from("<8sIIQ", file)
    assert (magic, size) == (b"BSEERIDX", len(file))
    found = {}
    for row in range(count):
        kind, codec, _, offset, stored, raw, digest = struct.unpack_from(
            "<HHIQQQ32s", file, 24 + 64 * row
        )
        data = file[offset : offset + stored]
        assert hashlib.sha256(data).digest() == digest
        found[kind] = zstandard.ZstdDecompressor().decompress(data) if codec else data
        assert len(found[kind]) == raw
    assert version == (2 if 9 in found else 1)
    return found


def unzigzag(value: int) -> int:
    return -(value + 1) // 2 if value & 1 else value // 2


class Columns:
    """Takes columns off the front of a section."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, count: int, width: int, *, delta: bool = False) -> list[int]:
        planes, self.data = self.data[: count * width], self.data[count * width :]
        values = [int.from_bytes(planes[row::count], "little") for row in range(count)]
        if not delta:
            return values
        total, found = 0, []
        for value in values:
            total = (total + unzigzag(value)) % 2**64
            found.append(total)
        return found


def read(file: bytes) -> dict[str, object]:
    raw = sections(file)
    meta = struct.unpack("<32s32s32s32sQ10Q", raw[1])
    n_inodes, n_files, n_rows, n_names, _, n_sets, n_entries, _, n_extents, n_chunks = meta[5:]
    found: dict[str, object] = {
        "layer": meta[0].hex(),
        "diff": meta[1].hex(),
        "merkle": meta[2],
        "windows": meta[3].hex() if any(meta[3]) else "",
        "layer_size": meta[4],
    }
    extents = read_extents(raw[7], n_extents)
    found["extents"] = extents
    found["chunks"] = read_chunks(raw[8], n_chunks)
    found["proof"] = raw.get(9, b"\0")[0]
    inodes = Columns(raw[2])
    mode = inodes.take(n_inodes, 2)
    found["mode"] = mode
    for name, width in (("uid", 4), ("gid", 4)):
        found[name] = inodes.take(n_inodes, width)
    found["mtime_s"] = inodes.take(n_inodes, 8, delta=True)
    for name, width in (("mtime_ns", 4), ("rdev", 4), ("flags", 1), ("xattrs", 4)):
        found[name] = inodes.take(n_inodes, width)
    target = inodes.take(n_inodes, 2)
    found["size"], found["data"] = read_files(raw[3], n_files, mode, target, extents)
    rows = Columns(raw[4])
    found["parent"] = rows.take(n_rows, 4, delta=True)
    found["child"] = []
    for link in rows.take(n_rows, 4):
        found["child"].append(link or max([0, *found["child"]]) + 1)
    found["names"], at = [], 0
    for length in rows.take(n_rows, 1):
        found["names"].append(raw[5][at : at + length])
        at += length
    assert at == n_names
    found["targets"] = raw[5][at:]
    found["xattr_sets"] = read_xattrs(raw[6], n_sets, n_entries)
    return found


def read_extents(data: bytes, count: int) -> list[tuple[int, int, int]]:
    columns = Columns(data)
    data_gap, tar_gap, lengths = (columns.take(count, 8) for _ in range(3))
    place, tar, length, found = 0, 0, 0, []
    for row in range(count):
        place = (place + -(-length // 4096) * 4096 + data_gap[row]) % 2**64
        tar = (tar + -(-length // 512) * 512 + tar_gap[row]) % 2**64
        length = lengths[row]
        found.append((place, tar, length))
    return found


def read_chunks(data: bytes, count: int) -> list[tuple[object, ...]]:
    columns = Columns(data)
    taken = [columns.take(count, width) for width in (8, 8, 8, 8, 1, 4, 1)]
    digests = [columns.data[row * 32 : row * 32 + 32] for row in range(count)]
    return list(zip(*taken, digests, strict=True))


def read_files(data, count, mode, target, extents):
    columns = Columns(data)
    rows = list(
        zip(columns.take(count, 8), columns.take(count, 8), columns.take(count, 4), strict=True)
    )
    size, place, extent = list(target), [0] * len(mode), -1
    for inode, kind in enumerate(mode):
        if kind >> 12 != 8:
            continue
        step, rest, block = rows.pop(0)
        size[inode], place[inode] = rest, block * 4096
        if step:
            extent += unzigzag(step)
            place[inode], _, length = extents[extent]
            size[inode] = (rest + length) % 2**64
    return size, place


def read_xattrs(data: bytes, n_sets: int, n_entries: int):
    columns = Columns(data)
    sets = columns.take(n_sets, 4)
    names, values = columns.take(n_entries, 2), columns.take(n_entries, 4)
    rest, entries = columns.data, []
    for name, value in zip(names, values, strict=True):
        entries.append((rest[:name], rest[name : name + value]))
        rest = rest[name + value :]
    assert not rest
    return tuple(tuple(entries.pop(0) for _ in range(count)) for count in sets)
