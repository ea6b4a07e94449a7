"""Random and hand-made layers for tests: nested nodes -> `Tree`, and whole `LayerIndex` values.

Nodes are easy to write by hand and to draw; `make_tree` numbers them the way the records demand.
"""

import hashlib
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from snapshotter.layers.records import (
    BLOCK,
    ChunkTable,
    Codec,
    Extents,
    InodeFlag,
    Inodes,
    LayerIndex,
    Proof,
    Tree,
    XattrSet,
)


@dataclass(eq=False)
class Node:
    """One inode. The same object under two names is a hard link."""

    mode: int = stat.S_IFREG | 0o644
    uid: int = 0
    gid: int = 0
    mtime: tuple[int, int] = (0, 0)
    rdev: int = 0
    flags: int = 0
    xattrs: XattrSet = ()
    size: int = 0
    target: bytes = b""
    children: dict[bytes, "Node"] = field(default_factory=dict)


def directory(children: dict[bytes, Node] | None = None, **fields: object) -> Node:
    return Node(**{"mode": stat.S_IFDIR | 0o755, "children": children or {}, **fields})


def regular(size: int = 0, **fields: object) -> Node:
    return Node(**{"size": size, **fields})


def symlink(target: bytes, **fields: object) -> Node:
    return Node(**{"mode": stat.S_IFLNK | 0o777, "target": target, **fields})


def whiteout() -> Node:
    return Node(mode=stat.S_IFCHR, flags=InodeFlag.WHITEOUT)


def make_tree(root: Node) -> Tree:
    """Number the nodes breadth first and lay file contents one behind the other."""
    numbers = {id(root): 0}
    nodes, rows = [root], []
    nlink = [2]
    at = 0
    while at < len(nodes):
        for name, child in sorted(nodes[at].children.items()):
            if id(child) not in numbers:
                numbers[id(child)] = len(nodes)
                nodes.append(child)
                nlink.append(1 if not stat.S_ISDIR(child.mode) else 2)
                nlink[at] += stat.S_ISDIR(child.mode)
            else:
                nlink[numbers[id(child)]] += 1
            rows.append((at, numbers[id(child)], name))
        at += 1
    sets: dict[XattrSet, int] = {(): 0}
    xattrs = [sets.setdefault(tuple(sorted(node.xattrs)), len(sets)) for node in nodes]
    lengths = [len(node.target) if stat.S_ISLNK(node.mode) else node.size for node in nodes]
    return Tree(
        inodes=Inodes(
            mode=np.array([node.mode for node in nodes], dtype=np.uint32),
            uid=np.array([node.uid for node in nodes], dtype=np.uint32),
            gid=np.array([node.gid for node in nodes], dtype=np.uint32),
            mtime_s=np.array([node.mtime[0] for node in nodes], dtype=np.int64),
            mtime_ns=np.array([node.mtime[1] for node in nodes], dtype=np.uint32),
            size=np.array(lengths, dtype=np.uint64),
            rdev=np.array([node.rdev for node in nodes], dtype=np.uint32),
            data=np.array(_data_offsets(nodes), dtype=np.uint64),
            nlink=np.array(nlink, dtype=np.uint32),
            flags=np.array([int(node.flags) for node in nodes], dtype=np.uint8),
            xattrs=np.array(xattrs, dtype=np.uint32),
        ),
        parent=np.array([row[0] for row in rows], dtype=np.uint32),
        child=np.array([row[1] for row in rows], dtype=np.uint32),
        name_end=np.cumsum(np.array([len(row[2]) for row in rows], dtype=np.uint64)).astype(
            np.uint64
        ),
        names=b"".join(row[2] for row in rows),
        targets=b"".join(node.target for node in nodes if stat.S_ISLNK(node.mode)),
        xattr_sets=tuple(sets),
    )


def _data_offsets(nodes: list[Node]) -> list[int]:
    offsets, end = [], 0
    for node in nodes:
        full = stat.S_ISREG(node.mode) and node.size > 0
        offsets.append(end if full else 0)
        end += -(-node.size // BLOCK) * BLOCK if full else 0
    return offsets


def data_size(tree: Tree) -> int:
    """Bytes of the data area that the tree's files need."""
    full = (tree.inodes.mode >> 12 == 8) & (tree.inodes.size > 0)
    ends = tree.inodes.data[full] + -(-tree.inodes.size[full].astype(np.int64) // BLOCK) * BLOCK
    return int(max(ends, default=0))


def data_area(size: int) -> bytes:
    """Return contents that differ from block to block."""
    return np.random.default_rng(7).integers(0, 256, size, dtype=np.uint8).tobytes()


def walk(root: Node, path: bytes = b"") -> Iterator[tuple[bytes, Node]]:
    """Yield every path (the root is the empty one) with its node, parents first."""
    yield path, root
    for name, child in sorted(root.children.items()):
        yield from walk(child, path + b"/" + name)


def numbers_of(root: Node) -> dict[int, int]:
    """Return the inode number of each node, by `id(node)`."""
    numbers, queue = {id(root): 0}, [root]
    for node in queue:
        for _, child in sorted(node.children.items()):
            if id(child) not in numbers:
                numbers[id(child)] = len(queue)
                queue.append(child)
    return numbers


# -- strategies ---------------------------------------------------------------------------------

names = st.binary(min_size=1, max_size=40).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
) | st.sampled_from([b"a" * 255, b"\xff\xfe", b"-", b".-", b"..a", b".a", b"!", b"z", b" "])

_prefixes = st.sampled_from([b"user.", b"security."])
_xattr_names = st.tuples(
    _prefixes, st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)
).map(b"".join)
xattr_sets = (
    st.just(())
    | st.sampled_from([((b"security.capability", b"\x01\x00\x00\x02" + bytes(16)),)])
    | st.dictionaries(_xattr_names, st.binary(max_size=100), max_size=4).map(
        lambda entries: tuple(sorted(entries.items()))
    )
)

_ids = st.integers(0, 2**32 - 2)
_times = st.tuples(st.integers(0, 2**33), st.integers(0, 10**9 - 1))
_common = {"uid": _ids, "gid": _ids, "mtime": _times}
_rdevs = st.integers(0, 2**32 - 1)


def _node(kind: int, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[Node]:
    modes = st.integers(0, 0o7777).map(lambda bits: kind | bits)
    return st.builds(Node, mode=modes, **_common, **fields)


leaves = st.one_of(
    _node(stat.S_IFREG, size=st.integers(0, 3 * BLOCK), xattrs=xattr_sets),
    _node(
        stat.S_IFLNK,
        target=st.binary(min_size=1, max_size=60).filter(lambda target: b"\0" not in target)
        | st.integers(3900, 4095).map(lambda length: b"t" * length),
    ),
    _node(stat.S_IFCHR, rdev=_rdevs),
    _node(stat.S_IFBLK, rdev=_rdevs),
    _node(stat.S_IFIFO),
    _node(stat.S_IFSOCK),
    st.builds(whiteout),
)


def _directories(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.builds(
        directory,
        st.dictionaries(names, inner, max_size=6),
        flags=st.sampled_from([0, InodeFlag.IMPLICIT, InodeFlag.OPAQUE]),
        xattrs=xattr_sets,
        **_common,
    )


@st.composite
def roots(draw: Callable[..., object]) -> Node:
    """Draw a file tree, with hard links in it now and then."""
    root = directory(
        draw(st.dictionaries(names, st.recursive(leaves, _directories, max_leaves=20), max_size=8)),
        xattrs=draw(xattr_sets),
        **{name: draw(strategy) for name, strategy in _common.items()},
    )
    everything = [node for _, node in walk(root)]
    dirs = [node for node in everything if stat.S_ISDIR(node.mode)]
    linkable = [
        node
        for node in everything
        if not stat.S_ISDIR(node.mode) and not node.flags & InodeFlag.WHITEOUT
    ]
    if linkable:
        for _ in range(draw(st.integers(0, 3))):
            links = draw(st.sampled_from(dirs)).children
            links.setdefault(draw(names), draw(st.sampled_from(linkable)))
    return root


def trees() -> st.SearchStrategy[Tree]:
    """Draw a valid `Tree`."""
    return roots().map(make_tree)


def make_index(
    tree: Tree, *, chunk: int = 4 * BLOCK, codec: Codec = Codec.DEFLATE, holes: bool = False
) -> LayerIndex:
    """Wrap a tree in an index whose tar has a 512-byte header before each file.

    With `holes`, the first third of each file is a hole, and some files are nothing else.
    """
    extents = _extents(tree, holes=holes)
    tar_size = int(extents.tar[-1] + extents.length[-1]) + 1024 if len(extents.tar) else 1024
    layer_size = tar_size if codec is Codec.RAW else tar_size // 2
    chunks = _chunks(extents, data_size(tree), tar_size, chunk, codec)
    return LayerIndex(
        layer_digest="sha256:" + hashlib.sha256(tree.names).hexdigest(),
        layer_size=layer_size,
        diff_id="sha256:" + hashlib.sha256(tree.targets).hexdigest(),
        merkle_root=hashlib.sha256(b"root").digest(),
        windows_digest="sha256:" + hashlib.sha256(b"windows").hexdigest()
        if chunks.window[-1]
        else "",
        tree=tree,
        extents=extents,
        chunks=chunks,
    )


def _extents(tree: Tree, *, holes: bool) -> Extents:
    files = np.flatnonzero((tree.inodes.mode >> 12 == 8) & (tree.inodes.size > 0))
    files = files[np.argsort(tree.inodes.data[files])]
    data = tree.inodes.data[files].astype(np.int64)
    length = tree.inodes.size[files].astype(np.int64)
    if holes:
        data, length = data + length // 3, length - length // 3
        kept = length % 5 > 0
        data, length = data[kept], length[kept]
    padded = -(-length // 512) * 512 + 512
    tar = np.cumsum(padded) - padded + 512
    return Extents(data.astype(np.uint64), tar.astype(np.uint64), length.astype(np.uint64))


def _chunks(extents: Extents, size: int, tar_size: int, chunk: int, codec: Codec) -> ChunkTable:
    """Cut the data area every `chunk` bytes, and the tar where those bytes are in it."""
    count = max(-(-size // chunk), 1)
    data = np.minimum(np.arange(count + 1, dtype=np.uint64) * chunk, size).astype(np.uint64)
    row = np.searchsorted(extents.data + extents.length, data, side="right")
    here = np.append(extents.data, size)[row].astype(np.int64)
    tar_here = np.append(extents.tar, tar_size)[row].astype(np.int64)
    tar = tar_here + np.maximum(data.astype(np.int64) - here, 0)
    tar[0], tar[-1] = 0, tar_size
    tar = tar.astype(np.uint64)
    blob = tar if codec is Codec.RAW else tar // 2
    rows = np.arange(count + 1, dtype=np.uint64)
    windows = (rows * 100 - np.minimum(rows, 1) * 100) * (codec is Codec.DEFLATE)
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(count)]
    return ChunkTable(
        blob=blob,
        tar=tar,
        data=data,
        digest=np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(count, 32),
        codec=np.full(count, codec, dtype=np.uint8),
        skip=np.zeros(count, dtype=np.uint32),
        bits=(np.arange(count) % 8 * (codec is Codec.DEFLATE)).astype(np.uint8),
        window=windows.astype(np.uint64),
        proof=Proof.TAR if codec is Codec.GZIP else Proof.DATA,
    )


def indexes() -> st.SearchStrategy[LayerIndex]:
    """Draw a valid `LayerIndex`."""
    return st.builds(
        make_index,
        trees(),
        chunk=st.sampled_from([BLOCK, 3 * BLOCK, 10_000, 1 << 20]),
        codec=st.sampled_from(Codec),
        holes=st.booleans(),
    )
