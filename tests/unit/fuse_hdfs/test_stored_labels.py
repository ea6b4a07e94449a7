"""What is kept beside a file: of what kind it is."""

from hypothesis import given
from hypothesis import strategies as st

from fuse_hdfs.files.labels import Kind, kind_in, label_of

STORED = st.integers(0, 1 << 50)


@given(st.none() | st.integers(0, (1 << 44) - 2), STORED)
def test_a_label_says_what_it_was_made_of(size: int | None, stored: int) -> None:
    label = label_of(Kind(size), stored)
    assert 0 < label < 1 << 62
    assert kind_in(label, stored) == Kind(size)


def test_a_file_that_is_too_large_has_none() -> None:
    assert label_of(Kind(1 << 44), 100) == 0
    assert kind_in(0, 100) is None


@given(st.integers(0, (1 << 63) - 1), STORED)
def test_any_number_is_a_label_or_none(label: int, stored: int) -> None:
    kind = kind_in(label, stored)
    assert kind is None or label_of(kind, stored) == label


def test_the_label_of_a_file_that_grew_is_none() -> None:
    assert kind_in(label_of(Kind(5_000_000), 100), 101) is None
