import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bootseer.events.event import Event, Origin, Phase
from bootseer.profile.spans import Trouble, pair

NODE = Origin("job", 0, "a")
S = 1_000_000_000


def event(stage: str, phase: Phase, at: float, origin: Origin = NODE, identity: str = "") -> Event:
    return Event(origin, stage, phase, round((100 + at) * S), round(at * S), identity)


def begin(stage: str, at: float, identity: str = "") -> Event:
    return event(stage, Phase.BEGIN, at, identity=identity)


def end(stage: str, at: float, identity: str = "") -> Event:
    return event(stage, Phase.END, at, identity=identity)


def lengths(events: list[Event], trouble: Trouble | None = None) -> list[tuple[str, float | None]]:
    spans = pair(events, trouble or Trouble())
    return [(s.stage, None if s.length_ns is None else s.length_ns / S) for s in spans]


def test_a_beginning_and_its_end_are_a_span() -> None:
    (span,) = pair(
        [
            replace(begin("pull", 1), attributes={"image": "x"}),
            replace(end("pull", 3.5), attributes={"bytes": 7}),
        ],
        Trouble(),
    )
    assert (span.begin_ns, span.length_ns, span.end_ns) == (101 * S, 2.5 * S, 103.5 * S)
    assert span.attributes == {"image": "x", "bytes": 7}


def test_a_stage_may_come_again() -> None:
    events = [begin("load", 0), end("load", 1), begin("load", 5), end("load", 8)]
    assert lengths(events) == [("load", 1), ("load", 3)]


def test_stages_that_overlap_are_told_apart_by_their_identity() -> None:
    events = [begin("layer", 0, "x"), begin("layer", 1, "y"), end("layer", 5, "x")]
    events.append(end("layer", 2, "y"))
    assert sorted(lengths(events)) == [("layer", 1), ("layer", 5)]


def test_a_clock_that_was_set_in_between_changes_no_length() -> None:
    late = replace(end("pull", 2), time_ns=50 * S)
    assert lengths([begin("pull", 1), late]) == [("pull", 1)]


def test_what_has_no_other_end_is_counted() -> None:
    trouble = Trouble()
    events = [end("a", 1), begin("b", 1), begin("b", 4), end("b", 6)]
    assert lengths(events, trouble) == [("b", None), ("b", 2)]
    assert (trouble.unbegun, trouble.unended) == (1, 1)


def test_files_that_are_there_twice_count_once() -> None:
    trouble = Trouble()
    events = [begin("a", 1), end("a", 2), begin("a", 2), end("a", 3)]
    assert lengths(events * 2, trouble) == [("a", 1), ("a", 1)]
    assert trouble.duplicates == 4


def test_what_was_lost_is_added_up() -> None:
    trouble = Trouble()
    pair([replace(begin("a", 1), lost=3), replace(end("a", 2), lost=4)], trouble)
    assert trouble.lost == 7


def test_events_that_come_after_later_ones_are_counted_for_each_rank() -> None:
    trouble = Trouble()
    other = replace(NODE, rank=1)
    pair([begin("a", 5), event("a", Phase.BEGIN, 1, other), end("a", 4)], trouble)
    assert trouble.disordered == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50)), max_size=12), st.randoms())
def test_order_says_nothing(stages: list[tuple[str, int]], chance: random.Random) -> None:
    events = []
    for number, (stage, length) in enumerate(stages):
        events += [begin(stage, number * 100), end(stage, number * 100 + length)]
    shuffled = chance.sample(events, len(events))
    assert sorted(lengths(shuffled)) == sorted((stage, float(length)) for stage, length in stages)


phases = st.sampled_from(list(Phase))


@given(st.lists(st.builds(event, st.sampled_from("ab"), phases, st.integers(0, 5)), max_size=30))
def test_every_event_is_used_or_counted(events: list[Event]) -> None:
    trouble = Trouble()
    spans = pair(events, trouble)
    ends = sum(2 if span.length_ns is not None else 1 for span in spans)
    assert ends + trouble.duplicates + trouble.unbegun == len(events)
    assert all(span.length_ns is None or span.length_ns >= 0 for span in spans)
