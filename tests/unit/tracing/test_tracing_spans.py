"""Spans: how they belong together, and what they cost when nobody wants them."""

import asyncio

import pytest

from snapshotter.tracing.export import encoded
from snapshotter.tracing.spans import OFF, Tracer


async def test_a_span_inside_another_is_its_child_in_tasks_too() -> None:
    tracer = Tracer(on=True)

    async def fetch() -> None:
        with tracer.span("fetch"):
            await asyncio.sleep(0)

    with tracer.span("miss", layer="a") as miss:
        await asyncio.gather(fetch(), fetch())
        miss.note({"bytes": 5})
    with tracer.span("other"):
        pass
    one, two, outer, other = tracer.take(10)
    assert [one.name, two.name, outer.name, other.name] == ["fetch", "fetch", "miss", "other"]
    assert {one.parent, two.parent} == {outer.identity}
    assert {one.trace, two.trace} == {outer.trace}
    assert (outer.parent, other.parent) == ("", "")
    assert other.trace != outer.trace
    assert outer.attributes == {"layer": "a", "bytes": 5}
    assert outer.begin_ns <= one.begin_ns
    assert len({one.identity, two.identity, outer.identity, other.identity}) == 4


def test_what_ends_a_span_is_its_error() -> None:
    tracer = Tracer(on=True)
    with pytest.raises(ValueError, match="no"), tracer.span("work"):
        raise ValueError("no")
    (span,) = tracer.take(1)
    assert encoded(span)["status"] == {"code": 2, "message": "ValueError"}


def test_spans_that_nobody_takes_are_dropped_and_counted() -> None:
    tracer = Tracer(on=True, pending=3)
    for number in range(5):
        with tracer.span("work", number=number):
            pass
    assert tracer.lost == 2
    assert [span.attributes["number"] for span in tracer.take(10)] == [0, 1, 2]


def test_nothing_is_kept_when_nobody_traces() -> None:
    with OFF.span("work", a=1) as span:
        span.note({"b": 2})
    assert (OFF.take(10), span.attributes, OFF.lost) == ([], {}, 0)
