"""A tree as a node keeps it for itself: as it was, or refused; and its work in parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_strategies import trees

from bootseer.errors import CorruptError
from depsnap.restore.columns import columns_of, decode_columns, encode_columns
from depsnap.restore.linking import parted
from depsnap.tree.entries import DIRECTORIES, Kind, Tree, parent


@given(trees())
def test_columns_read_back_as_the_tree_but_for_its_packs(tree: Tree) -> None:
    columns = decode_columns(encode_columns(columns_of(tree.entries)))
    assert list(columns) == [entry._replace(pack=-1, stamp=-1) for entry in tree.entries]
    for row, above in enumerate(columns.above):
        holder = parent(tree.entries[row].path)
        assert above == -1 or columns.paths[above] == holder
    found = columns.in_each(Kind.FILE)
    assert sum(map(len, found.values())) == sum(one.kind is Kind.FILE for one in tree.entries)
    assert [columns[row].kind in DIRECTORIES for row in columns.directories()] == [True] * len(
        columns.directories()
    )


@given(trees(), st.data())
def test_changed_columns_are_refused_or_read(tree: Tree, data: st.DataObject) -> None:
    whole = bytearray(encode_columns(columns_of(tree.entries)))
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[at] ^= data.draw(st.integers(1, 255))
    else:
        del whole[at:]
    try:
        decode_columns(bytes(whole))
    except CorruptError:
        return


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\n", b'{"version": 2}\n', b"\xff\n"])
def test_what_is_no_kept_tree_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptError):
        decode_columns(data)


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)


@given(st.lists(names, max_size=40), st.integers(1, 20))
def test_every_directory_is_in_one_unit_and_nobody_else_touches_it(
    drawn: list[list[str]], pieces: int
) -> None:
    paths = {"/".join(parts[:size]) for parts in drawn for size in range(1, len(parts) + 1)}
    ordered = sorted(paths, key=lambda path: path.replace("/", "\0"))
    apart, units = parted(ordered, [1] * len(ordered), pieces)
    numbers = [number for unit in units for number in range(unit.first, unit.end)]
    assert numbers == list(range(len(ordered)))
    assert [unit.first for unit in units if unit.alone] == apart
    for unit in units:
        if not unit.alone:
            inside = {path for path in ordered if path.startswith(f"{ordered[unit.first]}/")}
            assert set(ordered[unit.first : unit.end]) == {ordered[unit.first], *inside}
