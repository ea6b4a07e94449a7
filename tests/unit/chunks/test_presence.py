import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.chunks.presence import Presence, decode

KEY = bytes(range(32))


@given(st.lists(st.booleans(), max_size=200), st.booleans())
def test_what_was_marked_is_read_back(flags: list[bool], audited: bool) -> None:
    presence = Presence(len(flags))
    presence.audited = audited
    for chunk, present in enumerate(flags):
        if present:
            presence.add(chunk)
    again = decode(presence.encode(KEY), KEY, len(flags))
    assert [chunk in again for chunk in range(len(flags))] == flags
    assert again.missing == flags.count(False)
    assert again.audited == audited


@given(st.binary(max_size=80) | st.just(Presence(9).encode(KEY)), st.integers(0, 100))
def test_foreign_bytes_are_refused_or_are_the_file(data: bytes, chunks: int) -> None:
    try:
        presence = decode(data, KEY, chunks)
    except CorruptError:
        return
    assert presence.encode(KEY) == data


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    encoded = bytearray(Presence(50).encode(KEY))
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptError):
        decode(bytes(encoded), KEY, 50)


def test_presence_of_another_index_is_refused() -> None:
    with pytest.raises(CorruptError, match="another index"):
        decode(Presence(8).encode(KEY), bytes(32), 8)


def test_first_missing_finds_holes_only_in_the_range_asked_for() -> None:
    presence = Presence(4)
    presence.add(1)
    presence.add(2)
    assert presence.first_missing(1, 3) == -1
    assert presence.first_missing(0, 3) == 0
    assert presence.first_missing(1, 4) == 3


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_runs_that_are_missing_hold_all_that_is_missing_and_nothing_else(
    held: list[bool], low: int, high: int
) -> None:
    presence = Presence(len(held))
    for chunk in range(len(held)):
        if held[chunk]:
            presence.add(chunk)
    low, high = min(low, len(held)), min(high, len(held))
    runs = presence.missing_runs(low, high)
    expected = [chunk for chunk in range(low, high) if not held[chunk]]
    assert [chunk for run in runs for chunk in run] == expected
    assert all(before.stop < after.start for before, after in itertools.pairwise(runs))


def test_adding_twice_counts_once_and_discarding_undoes() -> None:
    presence = Presence(3)
    presence.add(1)
    presence.add(1)
    assert presence.missing == 2
    presence.discard(1)
    presence.discard(1)
    assert presence.missing == 3
    presence.fill()
    assert presence.missing == 0
