from hypothesis import given
from hypothesis import strategies as st

from snapshotter.chunks.ahead import Ahead


def test_a_lone_miss_guesses_nothing() -> None:
    ahead = Ahead(first=100, most=800)
    assert ahead.touch(5, 6) == 0
    assert ahead.touch(20, 21) == 0


def test_a_stream_doubles_its_window_up_to_the_most() -> None:
    ahead = Ahead(first=100, most=800)
    assert [ahead.touch(chunk, chunk + 1) for chunk in range(6)] == [0, 100, 200, 400, 800, 800]


def test_interleaved_streams_keep_their_own_windows() -> None:
    ahead = Ahead(first=100, most=800)
    got = [ahead.touch(start + step, start + step + 1) for step in range(3) for start in (0, 50)]
    assert got == [0, 0, 100, 100, 200, 200]


@given(st.lists(st.integers(0, 1000)))
def test_windows_never_exceed_the_most_and_memory_is_bounded(chunks: list[int]) -> None:
    ahead = Ahead(first=3, most=17)
    assert all(0 <= ahead.touch(chunk, chunk + 1) <= 17 for chunk in chunks)
    assert sum(chunk in ahead for chunk in range(1002)) <= 16
