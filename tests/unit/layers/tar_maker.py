"""Made-up layers for tests: raw tar entries with any field, and a readable view of a tree."""

from dataclasses import dataclass
from itertools import pairwise
from struct import pack

import numpy as np

from snapshotter.layers.records import BLOCK, Extents, InodeFlag, Tree
from snapshotter.layers.tar import TarIndexer
from snapshotter.layers.validate_tree import check_tree
from snapshotter.limits import DEFAULT

END = bytes(1024)
USTAR = b"ustar\x0000"
GNU = b"ustar  \0"


def octal(value, width):
    return b"%0*o\0" % (width - 1, value)


def header(
    name,
    kind=b"0",
    *,
    size=0,
    mode=0o644,
    uid=0,
    gid=0,
    mtime=0,
    link=b"",
    magic=USTAR,
    major=0,
    minor=0,
    prefix=b"",
):
    """One block; numbers may be given as raw field bytes, to say something odd."""
    fields = [
        name.ljust(100, b"\0"),
        *(
            value if isinstance(value, bytes) else octal(value, width)
            for value, width in ((mode, 8), (uid, 8), (gid, 8), (size, 12), (mtime, 12))
        ),
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        magic,
        bytes(64),
        *(value if isinstance(value, bytes) else octal(value, 8) for value in (major, minor)),
        prefix.ljust(155, b"\0"),
        bytes(12),
    ]
    return with_checksum(b"".join(fields))


def with_checksum(block):
    assert len(block) == 512
    block = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data):
    return data + bytes(-len(data) % 512)


def entry(name, data=b"", kind=b"0", **fields):
    """A header and its contents."""
    return header(name, kind, **{"size": len(data), **fields}) + padded(data)


def directory(name, **fields):
    return header(name, b"5", **{"mode": 0o755, **fields})


def symlink(name, target, **fields):
    return header(name, b"2", **{"mode": 0o777, "link": target, **fields})


def link(name, target, **fields):
    return header(name, b"1", link=target, **fields)


def record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest)
    while len(b"%d" % size) + len(rest) != size:
        size = len(b"%d" % size) + len(rest)
    return b"%d" % size + rest


def pax(*records, kind=b"x", name=b"PaxHeaders/0"):
    """An extended header with (key, value) records."""
    return entry(name, b"".join(record(*pair) for pair in records), kind)


def xattr(name, value):
    return pax((b"SCHILY.xattr." + name, value))


def acl(*entries):
    return pack("<I", 2) + b"".join(pack("<HHI", *one) for one in entries)


@dataclass(frozen=True)
class File:
    """A name as the tests look at it."""

    inode: int
    mode: int
    uid: int
    gid: int
    mtime: tuple[int, int]
    size: int
    rdev: int
    nlink: int
    flags: InodeFlag
    xattrs: dict
    target: bytes
    content: bytes


def index(stream, piece=None, limits=DEFAULT):
    """Feed a stream, whole or in pieces of one size; return tree, extents and data area."""
    indexer = TarIndexer(limits)
    area = {}
    step = piece or len(stream) or 1
    for at in range(0, len(stream), step):
        for data, tar, length in indexer.feed(stream[at : at + step]):
            assert at <= tar < tar + length <= at + step
            assert data + length <= indexer.data_size
            area[data] = stream[tar : tar + length]
    tree, extents = indexer.finish()
    assert indexer.data_size % BLOCK == 0
    data = bytearray(indexer.data_size)
    for offset, run in area.items():
        data[offset : offset + len(run)] = run
    assert_lawful(tree, extents, indexer.data_size, stream, bytes(data))
    return tree, extents, bytes(data)


def assert_lawful(tree: Tree, extents: Extents, data_size, stream, data):
    """The laws that `records` states, and that the reader of an index insists on."""
    check_tree(tree, data_size, DEFAULT)
    inodes = tree.inodes
    count = len(inodes.mode)
    names = names_of(tree)
    met = 1
    rows = list(zip(tree.parent.tolist(), names, tree.child.tolist(), strict=True))
    assert rows == sorted(rows, key=lambda row: row[:2])
    assert len({row[:2] for row in rows}) == len(rows)
    for parent, name, child in rows:
        assert name not in (b"", b".", b"..")
        assert b"/" not in name
        assert parent < met
        assert is_kind(inodes.mode[parent], 0o040000)
        if child == met:
            met += 1
        else:
            assert 0 < child < met
            assert not is_kind(inodes.mode[child], 0o040000)
    assert met == count
    assert not tree.xattr_sets[0]
    assert len(set(tree.xattr_sets)) == len(tree.xattr_sets)
    assert np.all(inodes.xattrs < len(tree.xattr_sets))
    assert np.all(inodes.mtime_s >= 0)
    assert np.all(inodes.mtime_ns < 10**9)
    end_data = end_tar = 0
    for offset, tar, length in zip(*map(np.ndarray.tolist, columns(extents)), strict=True):
        assert length > 0
        assert offset >= end_data
        assert tar >= end_tar
        end_data, end_tar = offset + length, tar + length
        assert data[offset:end_data] == stream[tar:end_tar]
    assert end_data <= data_size
    assert end_tar <= len(stream)
    for node in range(count):
        if is_kind(inodes.mode[node], 0o100000) and inodes.size[node]:
            assert inodes.data[node] % BLOCK == 0
            assert inodes.data[node] + inodes.size[node] <= data_size
        else:
            assert inodes.data[node] == 0


def columns(extents):
    return extents.data, extents.tar, extents.length


def is_kind(mode, kind):
    return int(mode) & 0o170000 == kind


def names_of(tree):
    ends = [0, *tree.name_end.tolist()]
    return [tree.names[start:end] for start, end in pairwise(ends)]


def files(stream, **options) -> dict[bytes, File]:
    """Path (without a leading slash) -> file; the root is b""."""
    tree, _, data = index(stream, **options)
    paths = {0: b""}
    view = {b"": file_at(tree, 0, b"", data)}
    targets = targets_of(tree)
    rows = zip(tree.parent.tolist(), names_of(tree), tree.child.tolist(), strict=True)
    for parent, name, child in rows:
        path = (paths[parent] + b"/" + name).lstrip(b"/")
        paths.setdefault(child, path)
        view[path] = file_at(tree, child, targets.get(child, b""), data)
    return view


def targets_of(tree):
    at, found = 0, {}
    for node in range(len(tree.inodes.mode)):
        if is_kind(tree.inodes.mode[node], 0o120000):
            size = int(tree.inodes.size[node])
            found[node] = tree.targets[at : at + size]
            at += size
    assert at == len(tree.targets)
    return found


def file_at(tree, node, target, data):
    inodes = tree.inodes
    size, start = int(inodes.size[node]), int(inodes.data[node])
    return File(
        inode=node,
        mode=int(inodes.mode[node]),
        uid=int(inodes.uid[node]),
        gid=int(inodes.gid[node]),
        mtime=(int(inodes.mtime_s[node]), int(inodes.mtime_ns[node])),
        size=size,
        rdev=int(inodes.rdev[node]),
        nlink=int(inodes.nlink[node]),
        flags=InodeFlag(int(inodes.flags[node])),
        xattrs=dict(tree.xattr_sets[inodes.xattrs[node]]),
        target=target,
        content=data[start : start + size] if is_kind(inodes.mode[node], 0o100000) else b"",
    )
