"""Whom to ask first: without network, and with a clock of the test's own."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.registry.hosts import Endpoint, origin
from snapshotter.registry.standing import Standing, Topic

RACK, SITE, REGISTRY = (origin(name) for name in ("rack.io", "site.io", "registry.io"))
ALL = (RACK, SITE, REGISTRY)
PAUSE, MEMORY = 30.0, 60.0
TOPIC: Topic = ("a/b", "sha256:" + "1" * 64)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def standing() -> tuple[Standing, Clock]:
    clock = Clock()
    return Standing(PAUSE, MEMORY, clock), clock


def test_endpoints_that_could_not_be_reached_come_last_in_their_order() -> None:
    made, _ = standing()
    made.unreachable(RACK)
    assert made.order(ALL, TOPIC) == (SITE, REGISTRY, RACK)
    made.unreachable(SITE)
    assert made.order(ALL, None) == (REGISTRY, RACK, SITE)
    made.answered(RACK)
    assert made.order(ALL, None) == (RACK, REGISTRY, SITE)


def test_after_the_pause_one_call_finds_out_and_the_others_wait_for_it() -> None:
    made, clock = standing()
    made.unreachable(RACK)
    clock.now += PAUSE
    assert made.order(ALL, TOPIC)[0] == RACK
    assert made.order(ALL, TOPIC)[0] == SITE
    made.answered(RACK)
    assert made.order(ALL, TOPIC)[0] == RACK
    assert made.order(ALL, TOPIC)[0] == RACK


def test_a_call_that_never_found_out_is_followed_by_another_after_a_pause() -> None:
    made, clock = standing()
    made.unreachable(RACK)
    for _ in range(3):
        clock.now += PAUSE
        assert [made.order(ALL, None)[0] for _ in range(3)] == [RACK, SITE, SITE]


def test_who_lacks_a_blob_is_asked_last_about_that_blob_for_a_while() -> None:
    made, clock = standing()
    made.poor(RACK, TOPIC)
    assert made.order(ALL, TOPIC) == (SITE, REGISTRY, RACK)
    assert made.order(ALL, ("a/c", TOPIC[1])) == ALL
    assert made.order(ALL, None) == ALL
    clock.now += MEMORY
    assert made.order(ALL, TOPIC) == ALL


def test_who_cannot_be_reached_comes_behind_who_lacks_it() -> None:
    made, _ = standing()
    made.unreachable(RACK)
    made.poor(SITE, TOPIC)
    assert made.order(ALL, TOPIC) == (REGISTRY, SITE, RACK)


def test_only_what_changes_is_news() -> None:
    made, _ = standing()
    assert not made.answered(RACK)
    assert [made.unreachable(RACK), made.unreachable(RACK)] == [True, False]
    assert [made.answered(RACK), made.answered(RACK)] == [True, False]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["unreachable", "answered", "poor", "order", "later"]),
            st.sampled_from(ALL),
        )
    )
)
def test_nobody_is_ever_ruled_out(steps: list[tuple[str, Endpoint]]) -> None:
    made, clock = standing()
    for step, endpoint in steps:
        if step == "later":
            clock.now += 11.0
        elif step == "order":
            made.order(ALL, TOPIC)
        elif step == "poor":
            made.poor(endpoint, TOPIC)
        else:
            getattr(made, step)(endpoint)
        assert sorted(made.order(ALL, TOPIC), key=ALL.index) == list(ALL)
        assert made.order((endpoint,), TOPIC) == (endpoint,)
