"""Fair rates: nothing is shared out twice, nothing is left that somebody could use."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.model.fair import Group, fair_rates

NAMES = ("a", "b", "c")
positive = st.floats(0.01, 1000)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Group], dict[str, float]]:
    capacities = {name: draw(positive) for name in NAMES}
    uses = st.dictionaries(st.sampled_from(NAMES), positive, min_size=1)
    group = st.builds(Group, st.integers(1, 50), positive, uses)
    return draw(st.lists(group, min_size=1, max_size=8)), capacities


def taken(groups: list[Group], rates: list[float], name: str) -> float:
    return sum(
        group.count * rate * group.uses.get(name, 0.0)
        for group, rate in zip(groups, rates, strict=True)
    )


@given(situations())
def test_no_resource_gives_more_than_it_has(
    situation: tuple[list[Group], dict[str, float]],
) -> None:
    groups, capacities = situation
    rates = fair_rates(groups, capacities)
    for name, capacity in capacities.items():
        assert taken(groups, rates, name) <= capacity * (1 + 1e-9)


@given(situations())
def test_everybody_is_held_back_by_its_limit_or_by_something_that_is_used_up(
    situation: tuple[list[Group], dict[str, float]],
) -> None:
    groups, capacities = situation
    rates = fair_rates(groups, capacities)
    full = {
        name for name, most in capacities.items() if taken(groups, rates, name) >= most * (1 - 1e-9)
    }
    for group, rate in zip(groups, rates, strict=True):
        assert rate <= group.limit * (1 + 1e-9)
        assert rate >= group.limit * (1 - 1e-9) or full & set(group.uses)


@given(situations())
def test_who_gets_less_than_another_on_the_same_resource_has_a_reason_of_his_own(
    situation: tuple[list[Group], dict[str, float]],
) -> None:
    groups, capacities = situation
    rates = fair_rates(groups, capacities)
    for group, rate in zip(groups, rates, strict=True):
        if rate >= group.limit * (1 - 1e-9):
            continue
        held_by = [
            name
            for name in group.uses
            if taken(groups, rates, name) >= capacities[name] * (1 - 1e-9)
        ]
        assert any(
            all(
                rate >= other * (1 - 1e-9)
                for one, other in zip(groups, rates, strict=True)
                if name in one.uses
            )
            for name in held_by
        )


def test_what_one_cannot_take_the_others_get() -> None:
    groups = [Group(1, 1.0, {"link": 1.0}), Group(3, math.inf, {"link": 1.0})]
    assert fair_rates(groups, {"link": 10.0}) == pytest.approx([1.0, 3.0])


def test_what_costs_twice_as_much_takes_twice_as_much_of_the_resource() -> None:
    groups = [Group(1, 100.0, {"cpu": 2.0}), Group(1, 100.0, {"cpu": 1.0})]
    assert fair_rates(groups, {"cpu": 9.0}) == pytest.approx([3.0, 3.0])


def test_a_group_without_members_holds_nobody_back() -> None:
    groups = [Group(0, 1.0, {"link": 1.0}), Group(1, 50.0, {"link": 1.0})]
    assert fair_rates(groups, {"link": 10.0}) == [0.0, 10.0]
