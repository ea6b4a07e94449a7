"""Transfers in simulated time, against what can be worked out by hand."""

import math

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.model.fluid import Fluid, Uses

LINK: Uses = (("link", 1.0),)


def ends(
    transfers: list[tuple[float, float, float]], capacity: float, uses: Uses = LINK
) -> list[float]:
    """Return when transfers of (moment, amount, limit) end."""
    env = simpy.Environment()
    fluid = Fluid(env)
    fluid.set_capacity("link", capacity)
    found = [math.nan] * len(transfers)

    def one(number: int, at: float, amount: float, limit: float):  # type: ignore[no-untyped-def]
        yield env.timeout(at)
        yield fluid.transfer(amount, uses, limit)
        found[number] = env.now

    for number, transfer in enumerate(transfers):
        env.process(one(number, *transfer))
    env.run()
    return found


def test_one_alone_has_the_link() -> None:
    assert ends([(2.0, 30.0, math.inf)], 10.0) == pytest.approx([5.0])


def test_two_share_and_the_second_goes_on_alone() -> None:
    assert ends([(0.0, 10.0, math.inf), (0.0, 30.0, math.inf)], 10.0) == pytest.approx([2.0, 4.0])


def test_who_comes_later_slows_the_first_down_from_then_on() -> None:
    assert ends([(0.0, 20.0, math.inf), (1.0, 5.0, math.inf)], 10.0) == pytest.approx([2.5, 2.0])


def test_a_limit_leaves_the_rest_to_others() -> None:
    assert ends([(0.0, 4.0, 2.0), (0.0, 16.0, math.inf)], 10.0) == pytest.approx([2.0, 2.0])


def test_what_costs_more_of_a_resource_takes_longer() -> None:
    assert ends([(0.0, 10.0, math.inf)], 10.0, (("link", 3.0),)) == pytest.approx([3.0])


def test_nothing_takes_no_time() -> None:
    assert ends([(1.0, 0.0, math.inf)], 10.0) == [1.0]


def test_a_resource_that_grows_is_used_at_once() -> None:
    env = simpy.Environment()
    fluid = Fluid(env)
    fluid.set_capacity("link", 1.0)
    done = fluid.transfer(10.0, LINK)
    env.timeout(4.0).callbacks.append(lambda _: fluid.set_capacity("link", 3.0))
    env.run(done)
    assert env.now == pytest.approx(6.0)
    assert fluid.taken("link") == 10.0


def test_what_nothing_limits_is_refused() -> None:
    fluid = Fluid(simpy.Environment())
    with pytest.raises(ValueError, match="nothing limits"):
        fluid.transfer(1.0, ())
    with pytest.raises(ValueError, match="capacity"):
        fluid.set_capacity("link", math.inf)


transfers = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0.01, 50), st.floats(0.1, 20)), min_size=1, max_size=12
)


@given(transfers, st.floats(0.5, 30))
def test_a_link_carries_no_more_than_it_can_and_everything_arrives(
    wanted: list[tuple[float, float, float]], capacity: float
) -> None:
    found = ends(wanted, capacity)
    first = min(at for at, _, _ in wanted)
    assert max(found) - first >= sum(amount for _, amount, _ in wanted) / capacity * (1 - 1e-6)
    for (at, amount, limit), end in zip(wanted, found, strict=True):
        assert end - at >= amount / min(limit, capacity) * (1 - 1e-6)


@given(transfers, st.floats(0.5, 30))
def test_a_faster_link_has_everything_over_no_later(
    wanted: list[tuple[float, float, float]], capacity: float
) -> None:
    slow, fast = ends(wanted, capacity), ends(wanted, capacity * 2)
    assert all(one <= other * (1 + 1e-6) for one, other in zip(fast, slow, strict=True))
