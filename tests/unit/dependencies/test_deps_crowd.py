"""How many connections of whom there may be at the pods' socket."""

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.dependencies.crowd import Crowd


class Line:
    """A connection."""

    def __init__(self) -> None:
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing


def test_who_has_as_many_as_he_may_gets_no_more_until_one_ends() -> None:
    crowd = Crowd(most=10, most_each=2)
    first, second = Line(), Line()
    assert crowd.lets_in("a", first)
    assert crowd.lets_in("a", second)
    assert not crowd.lets_in("a", Line())
    assert crowd.lets_in("b", Line())
    first.closing = True
    assert crowd.lets_in("a", Line())
    assert not crowd.lets_in("a", Line())


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_there_are_never_more_than_may_be(asked: list[tuple[str, bool]]) -> None:
    crowd = Crowd(most=6, most_each=3)
    inside: list[tuple[str, Line]] = []
    for who, ends in asked:
        line = Line()
        let_in = crowd.lets_in(who, line)
        same = [one for one in inside if one[0] == who]
        assert let_in == (len(inside) < 6 and len(same) < 3)
        if let_in:
            inside.append((who, line))
        if ends and inside:
            inside.pop(0)[1].closing = True
