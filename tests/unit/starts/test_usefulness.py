"""When a prefetch that nobody reads is ended."""

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.starts.usefulness import LEAST, is_useless

sizes = st.integers(0, 1 << 40)


@given(brought=sizes, missed=st.integers(0, LEAST - 1))
def test_a_few_misses_end_no_prefetch(brought: int, missed: int) -> None:
    assert not is_useless(brought, missed)


@given(brought=sizes, missed=sizes, more=sizes)
def test_more_misses_never_make_a_prefetch_more_useful(
    brought: int, missed: int, more: int
) -> None:
    assert is_useless(brought, missed) <= is_useless(brought, missed + more)


def test_a_workload_that_misses_as_much_as_was_brought_ends_it() -> None:
    assert is_useless(100 << 20, 100 << 20)
    assert not is_useless(100 << 20, 40 << 20)
