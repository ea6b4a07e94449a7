"""A snapshot's tree as a block image: every byte where it belongs, and nothing else."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from bootseer.errors import CorruptError
from depsnap.mounting.points import Parted, parted
from depsnap.packing.build import build_packs
from depsnap.tree.entries import Entry, Kind, Tree
from depsnap.tree.table import table_of
from depsnap.tree.tree_format import encode_tree
from snapshotter.dependencies.files import Made, check_file, make_files, read_files, read_parts
from snapshotter.dependencies.frames import FrameDecoder
from snapshotter.dependencies.image import image_of
from snapshotter.dependencies.layer_tree import layer_tree
from snapshotter.dependencies.service import checked
from snapshotter.hot.hashtree import tree_of_area
from snapshotter.layers.format import decode, encode
from snapshotter.layers.records import BLOCK, InodeFlag, LayerIndex
from snapshotter.layers.records import Tree as LayerTree
from snapshotter.layers.validate import check_tree
from snapshotter.limits import DEFAULT
from tests.unit.depsnap.tree_strategies import trees

DIGEST = f"sha256:{'5' * 64}"
SECOND = 10**9


def compiled(stamp: int, rest: bytes) -> bytes:
    return b"\xa7\x0d\r\n" + bytes(4) + stamp.to_bytes(4, "little") + rest


CONTENTS = {
    "r/a/__init__.py": b"x = 1\n",
    "r/a/__pycache__/b.pyc": compiled(1_700_000_001, b"code" * 10),
    "r/a/__pycache__/c.pyc": compiled(1_700_000_002, b"code" * 2000),
    "r/empty": b"",
    "r/large.bin": os.urandom(9 << 20),
    "r/twin.bin": b"",
    "r/z\u00e9.txt": b"not ascii",
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tree, dict[str, bytes]]:
    """Return a tree with packs, and the packs' bytes."""
    root = tmp_path_factory.mktemp("root")
    contents = CONTENTS | {"r/twin.bin": CONTENTS["r/large.bin"]}
    entries = [Entry("r", Kind.KEPT, 0o755, 5, 6, 7 * SECOND)]
    entries += [Entry("r/a", Kind.REPLACED, 0o750), Entry("r/a/__pycache__", Kind.NEW, 0o700)]
    for path, content in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        entries.append(Entry(path, Kind.FILE, 0o640, 1, 2, 3 * SECOND + 4, len(content)))
    with (root / "r/holes").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(500_000)
        file.write(b"island")
    pieces = ((499_712, 4096),)
    entries.append(Entry("r/holes", Kind.FILE, 0o600, 0, 0, SECOND, 1 << 20, extents=pieces))
    entries.append(Entry("r/hole", Kind.FILE, 0o600, 0, 0, SECOND, 9000, extents=()))
    entries.append(Entry("r/gone", Kind.DELETED))
    entries.append(Entry("r/a/link", Kind.SYMLINK, 0o777, 0, 0, SECOND, target="../large.bin"))
    entries.append(Entry("r/hard", Kind.HARDLINK, target="r/a/__init__.py"))
    (root / "r/hole").touch()
    os.truncate(root / "r/hole", 9000)
    entries.sort(key=lambda entry: entry.path.replace("/", "\0"))
    made = build_packs(entries, tmp_path_factory.mktemp("packs"), 1, root)
    return made.tree, {digest: path.read_bytes() for digest, path in made.files.items()}


def names(tree: LayerTree) -> Iterator[tuple[str, int]]:
    """Yield path and inode of every name."""
    paths = {0: ""}
    start = 0
    for parent, child, end in zip(
        tree.parent.tolist(), tree.child.tolist(), tree.name_end.tolist(), strict=True
    ):
        path = f"{paths[parent]}/{os.fsdecode(tree.names[start:end])}".lstrip("/")
        start = end
        paths.setdefault(child, path)
        yield path, child


def data_area(
    index: LayerIndex, decoder: FrameDecoder, tree: Tree, packs: dict[str, bytes]
) -> bytes:
    """Return the data area, decoded frame by frame."""
    blob = b"".join(packs[pack.digest] for pack in tree.packs)
    edges = index.chunks.blob.tolist()
    pieces = [
        bytes(decoder(chunk, blob[start : edges[chunk + 1] + 1], b""))
        for chunk, start in enumerate(edges[:-1])
    ]
    return b"".join(pieces)


def test_who_packs_knows_the_merkle_root_of_what_is_served(
    packed: tuple[Tree, dict[str, bytes]], tmp_path: Path
) -> None:
    tree, packs = packed
    made = make_files(encode_tree(tree), DIGEST, ("/r",), tmp_path)
    opened = read_files(tmp_path)
    index = decode((tmp_path / "index").read_bytes())
    area = data_area(index, FrameDecoder(opened.blocks, opened.stamps), tree, packs)
    area = area.ljust(index.data_size, b"\0")
    root = tree_of_area(lambda offset, length: area[offset : offset + length], len(area)).root
    assert made.merkle_root == index.merkle_root.hex() == root.hex()


def test_every_file_is_in_the_data_area_as_it_was(
    packed: tuple[Tree, dict[str, bytes]], tmp_path: Path
) -> None:
    tree, packs = packed
    make_files(encode_tree(tree), DIGEST, ("/r",), tmp_path)
    opened = read_files(tmp_path)
    index = decode((tmp_path / "index").read_bytes())
    area = data_area(index, FrameDecoder(opened.blocks, opened.stamps), tree, packs)
    assert len(area) == index.data_size
    assert len(area) % BLOCK == 0
    inodes = index.tree.inodes
    found = {
        path: area[int(inodes.data[inode]) :][: int(inodes.size[inode])]
        for path, inode in names(index.tree)
        if inodes.mode[inode] >> 12 == 8
    }
    expected = CONTENTS | {"r/twin.bin": CONTENTS["r/large.bin"], "r/hole": bytes(9000)}
    expected["r/hard"] = expected["r/a/__init__.py"]
    holes = bytearray(1 << 20)
    holes[500_000:500_006] = b"island"
    assert found == expected | {"r/holes": bytes(holes)}
    assert [size for _, size in opened.packs] == [pack.stored for pack in tree.packs]


def test_attributes_are_those_of_the_snapshot(packed: tuple[Tree, dict[str, bytes]]) -> None:
    tree, _ = packed
    index = decode(encode(image_of(table_of(tree), DIGEST).index))
    inodes, numbers = index.tree.inodes, dict(names(index.tree))
    file = numbers["r/a/__init__.py"]
    assert numbers["r/hard"] == file
    assert inodes.nlink[file] == 2
    assert (inodes.mtime_s[file], inodes.mtime_ns[file]) == (3, 4)
    assert (inodes.uid[file], inodes.gid[file], inodes.mode[file]) == (1, 2, 0o100640)
    assert inodes.flags[numbers["r/gone"]] == InodeFlag.WHITEOUT
    assert inodes.flags[numbers["r/a"]] == InodeFlag.OPAQUE
    assert inodes.flags[numbers["r/a/__pycache__"]] == 0
    assert index.tree.targets == b"../large.bin"
    assert inodes.data[numbers["r/large.bin"]] == inodes.data[numbers["r/twin.bin"]]


def test_a_frame_with_any_other_bytes_is_refused(packed: tuple[Tree, dict[str, bytes]]) -> None:
    tree, packs = packed
    image = image_of(table_of(tree), DIGEST)
    decoder = FrameDecoder(image.index, image.stamps)  # type: ignore[arg-type]
    blob = b"".join(packs[pack.digest] for pack in tree.packs)
    size = tree.packs[0].frames[0].stored
    frame = blob[:size]
    assert decoder(0, frame, b"") == decoder(0, blob, b"")
    for damaged in (b"", frame[:-1], frame[1:] + b"\0", bytes([frame[0] ^ 1]) + frame[1:]):
        with pytest.raises(CorruptError, match="other bytes"):
            decoder(0, damaged, b"")


@given(trees())
def test_any_tree_becomes_a_valid_index_or_is_refused(tree: Tree) -> None:
    try:
        made = decode(encode(image_of(table_of(tree), DIGEST).index)).tree
    except CorruptError:
        return
    assert len(made.child) == len(tree.entries)


@given(trees())
def test_any_tree_becomes_one_with_the_same_names(tree: Tree) -> None:
    entries = [entry._replace(mtime_ns=abs(entry.mtime_ns)) for entry in tree.entries]
    made = layer_tree(table_of(Tree(entries, ())), np.zeros(len(entries), dtype=np.uint64))
    check_tree(made, 1 << 40, DEFAULT)
    found = sorted(path for path, _ in names(made))
    assert found == sorted(entry.path for entry in entries)


def test_a_snapshot_without_contents_is_not_mounted() -> None:
    tree = Tree((Entry("r", Kind.KEPT, 0o755), Entry("r/d", Kind.NEW, 0o755)), ())
    with pytest.raises(CorruptError, match="no contents"):
        image_of(table_of(tree), DIGEST)


def test_times_before_1970_are_refused(packed: tuple[Tree, dict[str, bytes]]) -> None:
    tree, _ = packed
    early = Tree(tuple(entry._replace(mtime_ns=-1) for entry in tree.entries), tree.packs)
    with pytest.raises(CorruptError, match="1970"):
        encode(image_of(table_of(early), DIGEST).index)


def test_what_is_large_and_there_is_mounted_and_the_rest_unpacked() -> None:
    many = [Entry(f"usr/lib/p/{number:03d}", Kind.FILE) for number in range(100)]
    usr = [Entry("usr", Kind.KEPT), Entry("usr/lib", Kind.CHANGED), Entry("usr/lib/p", Kind.NEW)]
    etc = [Entry("etc", Kind.KEPT), Entry("etc/conf", Kind.FILE), Entry("etc/x", Kind.DELETED)]
    opt = [Entry("opt", Kind.KEPT), Entry("opt/one", Kind.FILE, size=10)]
    new = [Entry("new", Kind.NEW), *(Entry(f"new/{number}", Kind.FILE) for number in range(100))]
    tree = Tree((*etc, *new, *opt, *usr, *many), ())
    assert parted(table_of(tree), ("/",)) == Parted(("usr",), 2 + 101 + 1)
    assert parted(table_of(tree), ("/opt", "/usr/lib")).points == ("usr/lib",)
    assert parted(table_of(tree), ("/etc",)).points == ()


def test_files_of_an_image_that_are_not_whole_are_refused(
    packed: tuple[Tree, dict[str, bytes]], tmp_path: Path
) -> None:
    make_files(encode_tree(packed[0]), DIGEST, ("/r",), tmp_path)
    assert read_parts(tmp_path) == Parted(("r",), 0)
    (tmp_path / "packs").write_text("{")
    with pytest.raises(CorruptError):
        read_files(tmp_path)
    with pytest.raises(CorruptError):
        read_parts(tmp_path)


def test_the_check_refuses_what_lies_outside_of_the_roots(
    packed: tuple[Tree, dict[str, bytes]],
) -> None:
    file = encode_tree(packed[0])
    check_file(file, ("/r",))
    with pytest.raises(CorruptError, match="outside of the snapshot's roots"):
        check_file(file, ("/r/a",))
    with pytest.raises(CorruptError):
        check_file(file[:-1], ("/r",))


async def test_nothing_that_was_made_is_used_before_it_was_checked() -> None:
    over: list[str] = []

    async def check(problem: str) -> None:
        await asyncio.sleep(0)
        over.append("check")
        if problem:
            raise CorruptError(problem)

    async def make(problem: str) -> Made:
        for _ in range(5):
            await asyncio.sleep(0)
        over.append("make")
        if problem:
            raise OverflowError(problem)
        return Made(1, 2, "")

    assert await checked(check(""), make("")) == Made(1, 2, "")
    for made in ("", "too large"):
        over.clear()
        with pytest.raises(CorruptError, match="leads out"):
            await checked(check("leads out"), make(made))
        assert over == ["check", "make"]  # who writes has stopped
    with pytest.raises(OverflowError):
        await checked(check(""), make("too large"))
