"""Laws of the stripe arithmetic."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from striping_strategies import MOST_UNITS, UNIT, histories, segment

from bootseer.errors import CorruptError
from fuse_hdfs.striping.layout import (
    Extent,
    Locator,
    Manifest,
    check,
    locate,
    place_of,
    spliced,
)


@given(histories())
def test_every_unit_is_what_was_written_last(history):
    manifest, model = history
    locator = Locator(manifest)
    found = [locator.place(number) for number in range(len(model))]
    assert [place and (place.segment.id, place.index) for place in found] == model
    assert locator.place(len(model)) is None
    assert check(manifest) == manifest
    named = {extent.segment for extent in manifest.extents} - {None}
    assert {one.id for one in manifest.segments} == named


@given(histories(), st.integers(0, MOST_UNITS * UNIT), st.integers(0, 20 * UNIT))
def test_the_parts_of_a_range_follow_each_other_and_fill_it(history, offset, length):
    manifest, model = history
    parts = locate(manifest, offset, length)
    at = offset
    for piece, place in parts:
        assert piece.unit * UNIT + piece.start == at
        assert 0 < piece.length <= UNIT - piece.start
        assert (place and (place.segment.id, place.index)) == model[piece.unit]
        at += piece.length
    assert at - offset == max(0, min(length, manifest.size - offset))


@given(st.integers(1, 9), st.integers(1, 60), st.integers(1, UNIT))
def test_the_units_of_a_segment_fill_its_stripes_without_gaps(stripes, units, last):
    one = segment(units, stripes, last)
    lengths = [0] * stripes
    for index in range(units):
        place = place_of(one, index, UNIT)
        assert place.stripe == index % stripes
        assert place.offset == lengths[place.stripe]
        lengths[place.stripe] += place.length
    assert sum(lengths) == (units - 1) * UNIT + last


def test_units_written_one_after_the_other_are_one_extent():
    first = spliced(Manifest(UNIT, 0), segment(10, 4), range(10), 10 * UNIT)
    assert first.extents == (Extent(first.segments[0].id, 0, 10),)
    holed = spliced(first, segment(1, 1), [4], 10 * UNIT)
    assert [(extent.skip, extent.units) for extent in holed.extents] == [(0, 4), (0, 1), (5, 5)]


@pytest.mark.parametrize(
    "change",
    [
        {"unit": 4097},
        {"unit": 2048},
        {"unit": 0},
        {"size": -1},
        {"size": 3 * UNIT + 1},
        {"size": 1 << 63},
        {"extents": ()},
        {"extents": (Extent(None, 0, 4),)},
        {"extents": (Extent(None, 1, 3),)},
        {"extents": (Extent(None, 0, 4), Extent(None, 0, -1))},
        {"segments": ()},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change):
    manifest = spliced(Manifest(UNIT, 0), segment(3, 2), range(3), 3 * UNIT)
    with pytest.raises(CorruptError):
        check(replace(manifest, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../../etc"},
        {"id": "A" * 32},
        {"stripes": 0},
        {"stripes": 257},
        {"units": 2},
        {"units": 0, "checksums": b""},
        {"last": 0},
        {"last": UNIT + 1},
        {"checksums": b""},
    ],
)
def test_a_segment_that_makes_no_sense_is_refused(change):
    manifest = spliced(Manifest(UNIT, 0), segment(3, 2), range(3), 3 * UNIT)
    damaged = replace(manifest.segments[0], **change)
    extents = tuple(replace(one, segment=damaged.id) for one in manifest.extents)
    with pytest.raises(CorruptError):
        check(replace(manifest, segments=(damaged,), extents=extents))
