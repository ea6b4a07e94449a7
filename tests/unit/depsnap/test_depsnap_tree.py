"""Trees of snapshots: written and read back, and what is refused."""

import json
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tree_strategies import digest, trees

from bootseer.errors import CorruptError
from depsnap.limits import Limits
from depsnap.tree.check import check_inside
from depsnap.tree.entries import Entry, Frame, Kind, Pack, Tree
from depsnap.tree.placement import frame_of_each
from depsnap.tree.table import table_of
from depsnap.tree.tree_format import decode_tree, encode_table, encode_tree


def parts_of(file: bytes) -> tuple[dict[str, object], bytes]:
    """Return what the first line says, and the columns."""
    line, _, columns = zstandard.ZstdDecompressor().decompress(file).partition(b"\n")
    return json.loads(line), columns


def file_of(described: object, columns: bytes) -> bytes:
    raw = json.dumps(described).encode() + b"\n" + columns
    return zstandard.ZstdCompressor().compress(raw)


def tree_of(*entries: Entry) -> Tree:
    return Tree(entries, ())


@given(trees())
def test_a_tree_reads_back_as_it_was(tree: Tree) -> None:
    assert decode_tree(encode_tree(tree)) == tree


@given(trees())
def test_every_file_lies_in_the_frames_of_its_pack_once(tree: Tree) -> None:
    seen: dict[int, int] = {}
    table = table_of(tree)
    for placed in frame_of_each(table.packs, table.packed, table.stored()):
        pack = tree.packs[placed.pack]
        for row in placed.files:
            assert tree.entries[row].pack == placed.pack
            share = pack.frames[placed.frame].raw if pack.single else tree.entries[row].stored
            seen[row] = seen.get(row, 0) + share
    files = {row: entry.stored for row, entry in enumerate(tree.entries) if entry.stored}
    assert seen == files


@given(trees(), st.data())
def test_a_changed_file_is_refused_or_is_a_valid_tree(tree: Tree, data: st.DataObject) -> None:
    file = bytearray(encode_tree(tree))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_tree(bytes(file))
    except CorruptError:
        return
    assert decode_tree(encode_tree(found)) == found


@given(trees(), st.data())
def test_columns_with_anything_changed_are_refused_or_a_valid_tree(
    tree: Tree, data: st.DataObject
) -> None:
    described, columns = parts_of(encode_tree(tree))
    changed = bytearray(columns)
    if changed:
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_tree(file_of(described, bytes(changed)))
    except CorruptError:
        return
    assert decode_tree(encode_tree(found)) == found


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 70) | st.text(max_size=3) | st.just("../a"),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=2), below),
    max_leaves=4,
)


@given(trees(), st.data())
def test_a_line_with_anything_replaced_is_refused_or_of_a_valid_tree(
    tree: Tree, data: st.DataObject
) -> None:
    described, columns = parts_of(encode_tree(tree))
    name = data.draw(st.sampled_from(sorted(described)))
    value = described[name]
    if isinstance(value, list) and value and data.draw(st.booleans()):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(VALUES)
    else:
        described[name] = data.draw(VALUES)
    try:
        found = decode_tree(file_of(described, columns))
    except CorruptError:
        return
    assert decode_tree(encode_tree(found)) == found


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_with_a_corrupt_error(data: bytes) -> None:
    for file in (data, zstandard.ZstdCompressor().compress(data)):
        with pytest.raises(CorruptError):
            decode_tree(file)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(CorruptError):
        decode_tree(zstandard.ZstdCompressor().compress(b"[" * 1_000_000))


def test_a_file_that_unpacks_to_more_than_it_may_is_refused() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    with pytest.raises(CorruptError, match="1048576 bytes"):
        decode_tree(bomb, Limits(tree=1000))


@pytest.mark.parametrize(
    "path", ["..", "../a", "/a", "a/..", "a/./b", "a//b", "", "a/", "a\0b", "a" * 256, "\ud800"]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(CorruptError):
        encode_tree(tree_of(Entry("a", Kind.NEW), Entry(path, Kind.FILE)))


@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.FILE, Kind.DELETED])
def test_nothing_lies_below_what_is_no_directory(kind: Kind) -> None:
    above = Entry("a", kind, target="/etc" if kind is Kind.SYMLINK else "")
    with pytest.raises(CorruptError, match="no directory"):
        encode_tree(tree_of(above, Entry("a/passwd", Kind.FILE)))


def test_what_is_in_no_directory_of_the_snapshot_is_refused() -> None:
    with pytest.raises(CorruptError, match="no directory"):
        encode_tree(tree_of(Entry("a/b", Kind.FILE)))


@pytest.mark.parametrize("depths", [(1, 1, 1), (0, 2, 1), (0, 1, 3), (0, 1, 2), (0, 0, 1)])
def test_what_is_deeper_than_it_can_be_is_refused(depths: tuple[int, ...]) -> None:
    table = table_of(tree_of(Entry("a", Kind.NEW), Entry("a/b", Kind.FILE), Entry("c", Kind.FILE)))
    with pytest.raises(CorruptError, match="no directory"):
        decode_tree(encode_table(replace(table, depths=depths)))


def test_a_slash_in_a_name_is_refused() -> None:
    table = table_of(tree_of(Entry("a", Kind.NEW), Entry("b", Kind.FILE)))
    with pytest.raises(CorruptError, match="no path"):
        decode_tree(encode_table(replace(table, names=["a", "a/../../etc"])))


def test_paths_that_take_more_than_a_tree_may_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and depths of a small file can make paths without end."""
    monkeypatch.setattr("depsnap.tree.table.DEFAULT", Limits(tree=10_000))
    paths = ["/".join("d" * depth) for depth in range(1, 200)]
    with pytest.raises(CorruptError, match="too long"):
        encode_tree(tree_of(*(Entry(path, Kind.NEW) for path in paths)))


def test_a_path_that_is_there_twice_is_refused() -> None:
    with pytest.raises(CorruptError, match="twice"):
        encode_tree(tree_of(Entry("a", Kind.FILE), Entry("a", Kind.NEW)))


def test_a_kind_that_is_not_known_is_refused() -> None:
    table = table_of(tree_of(Entry("a", Kind.FILE)))
    for kind in "bspD":  # block devices, sockets, pipes, anything
        with pytest.raises(CorruptError, match="kind"):
            decode_tree(encode_table(replace(table, kinds=kind)))


def test_columns_that_are_too_short_or_too_long_are_refused() -> None:
    described, columns = parts_of(encode_tree(tree_of(Entry("a", Kind.FILE))))
    for wrong in (columns[:-1], columns + b"\0", b""):
        with pytest.raises(CorruptError, match="columns of"):
            decode_tree(file_of(described, wrong))


def test_a_number_of_entries_that_is_not_that_of_the_names_is_refused() -> None:
    described, columns = parts_of(encode_tree(tree_of(Entry("a", Kind.NEW), Entry("b", Kind.NEW))))
    joined = columns.replace(b"a\0b", b"a_b")
    with pytest.raises(CorruptError, match="1 names of 2 entries"):
        decode_tree(file_of(described, joined))


def test_a_link_to_what_is_no_file_of_the_snapshot_is_refused() -> None:
    for target in ("b", "/etc/shadow", "../b"):
        with pytest.raises(CorruptError, match="link"):
            encode_tree(tree_of(Entry("a", Kind.HARDLINK, target=target)))


@given(trees())
def test_a_directory_and_all_in_it_are_found_by_its_path(tree: Tree) -> None:
    table = table_of(tree)
    assert table.paths == [entry.path for entry in tree.entries]
    for row, path in enumerate(table.paths):
        inside = [one for one, other in enumerate(table.paths) if other.startswith(f"{path}/")]
        assert list(table.span(path)) == [row, *inside]
    assert not table.span("a/b/nothing")


def test_a_change_outside_of_the_roots_is_refused() -> None:
    tree = tree_of(Entry("etc", Kind.KEPT), Entry("etc/passwd", Kind.FILE), Entry("v", Kind.KEPT))
    table = table_of(tree)
    check_inside(table, ("etc",))
    with pytest.raises(CorruptError, match="outside"):
        check_inside(table, ("v", "etc/pass"))


def test_attributes_of_the_system_are_refused() -> None:
    for name in ("trusted.overlay.opaque", "security.selinux", "security.ima"):
        with pytest.raises(CorruptError, match="attribute"):
            encode_tree(tree_of(Entry("a", Kind.FILE, xattrs=((name, b"y"),))))


@pytest.mark.parametrize("frames", [(9,), (3, 8), (5, 5, 1), (11, 1), (4, 6)])
def test_frames_that_do_not_fit_their_files_are_refused(frames: tuple[int, ...]) -> None:
    rows = [Entry(name, Kind.FILE, size=5, pack=0) for name in "ab"]
    stored = tuple(Frame(1, raw, digest(raw)) for raw in frames)
    with pytest.raises(CorruptError):
        encode_tree(Tree(rows, (Pack(digest(1), "t", False, stored),)))


@pytest.mark.parametrize("pack", [1, 7, -2])
def test_a_pack_that_is_not_there_is_refused(pack: int) -> None:
    table = table_of(tree_of(Entry("a", Kind.FILE), Entry("b", Kind.DELETED)))
    for row in (0, 1):
        packed = [-1, -1]
        packed[row] = pack
        with pytest.raises(CorruptError, match="no pack"):
            decode_tree(encode_table(replace(table, packed=packed)))


def test_another_version_is_named() -> None:
    described, columns = parts_of(encode_tree(tree_of()))
    with pytest.raises(CorruptError, match="version 3, this program reads version 2"):
        decode_tree(file_of(described | {"version": 3}, columns))
