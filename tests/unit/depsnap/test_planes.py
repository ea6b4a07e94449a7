"""Columns of numbers as byte planes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depsnap.tree.planes import column_of, planes_of, size_of

RANGES = {
    "H": (0, (1 << 16) - 1),
    "I": (0, (1 << 32) - 1),
    "i": (-(1 << 31), (1 << 31) - 1),
    "q": (-(1 << 63), (1 << 63) - 1),
}


@pytest.mark.parametrize("code", RANGES)
@given(data=st.data())
def test_a_column_reads_back_as_it_was(code: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(*RANGES[code]), max_size=9))
    stored = planes_of(code, values)
    assert len(stored) == size_of(code, len(values))
    assert column_of(code, stored).tolist() == values


def test_the_lowest_bytes_come_first() -> None:
    assert planes_of("I", [0x01020304, 0x11121314]) == bytes.fromhex("0414 0313 0212 0111")


def test_what_does_not_fit_is_refused() -> None:
    for code, (low, high) in RANGES.items():
        for value in (low - 1, high + 1):
            with pytest.raises(OverflowError):
                planes_of(code, [value])
