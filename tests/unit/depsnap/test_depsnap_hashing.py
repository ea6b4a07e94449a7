"""The hashes of a data area: those of all its blocks, however files come."""

from hypothesis import given
from hypothesis import strategies as st

from bootseer.merkle import BLOCK
from depsnap.packing.hashing import AreaPart, root_of
from depsnap.tree.entries import Entry, Kind
from snapshotter.hot.hashtree import tree_of_area

PIECES = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=3 * BLOCK),
        st.sampled_from([1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK]),
    ),
    max_size=6,
)
"""Data, or the length of a hole."""


def hole(size: int) -> Entry:
    return Entry("hole", Kind.FILE, size=size, extents=())


@given(st.lists(st.lists(PIECES, max_size=3), max_size=3), st.sampled_from([0, 1, 9000]))
def test_a_root_is_that_of_files_on_block_boundaries(
    packs: list[list[list[bytes | int]]], holes: int
) -> None:
    area, parts = b"", []
    for files in packs:
        part = AreaPart()
        for pieces in files:
            for piece in pieces:
                if isinstance(piece, int):
                    part.add_hole(piece)
                else:
                    part.add(piece)
            part.end_file()
            content = b"".join(bytes(one) for one in pieces)
            area += content.ljust(-(-len(content) // BLOCK) * BLOCK, b"\0")
        parts.append(part.hashes)
    area += bytes(-(-holes // BLOCK) * BLOCK)
    expected = tree_of_area(lambda offset, length: area[offset : offset + length], len(area))
    assert root_of(parts, [hole(holes)]) == expected.root.hex()


def test_a_hole_of_a_terabyte_costs_nothing() -> None:
    part = AreaPart()
    part.add(b"x")
    part.add_hole(1 << 40)
    part.end_file()
    assert len(part.hashes) == 3
    assert len(root_of([part.hashes], [hole(1 << 40)])) == 64
