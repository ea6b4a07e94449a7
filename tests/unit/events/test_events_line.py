"""An event as a line: what is written is read back, and whatever else is read is refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from bootseer.events.event import Event, Origin, Phase
from bootseer.events.line import LONGEST, encode
from bootseer.events.parse import decode

counts = st.integers(0, (1 << 63) - 1)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 60), 1 << 60), st.floats(allow_nan=False), names
)
events = st.builds(
    Event,
    st.builds(Origin, names, counts, names, st.none() | counts),
    names.filter(bool),
    st.sampled_from(Phase),
    counts,
    counts,
    names,
    st.dictionaries(st.sampled_from("abcdef"), values, max_size=4),
    counts,
)


@given(events)
def test_an_event_is_read_back_as_it_was_written(event: Event) -> None:
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event


@given(st.binary(max_size=200) | events.map(encode).map(lambda line: line[1:-3]))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptError):
        decode(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=5), below),
    max_leaves=5,
)
EVENT = Event(Origin("job", 1, "node", 3), "load", Phase.BEGIN, 5, 7)
fields = st.sampled_from([*json.loads(encode(EVENT)), "attributes", "lost", "id"])


@given(events, fields, json_values)
def test_a_field_of_another_kind_is_refused_or_makes_sense(
    event: Event, field: str, value: object
) -> None:
    document = json.loads(encode(event)) | {field: value}
    try:
        found = decode(json.dumps(document).encode())
    except CorruptError:
        return
    assert isinstance(found.origin.job, str)
    assert found.time_ns >= 0


def test_a_line_never_gets_too_long() -> None:
    long = Event(Origin("j" * 5000, 0, "n" * 5000), "s" * 5000, Phase.END, 1, 2)
    assert len(decode(encode(long)).stage) == 256
    many = {f"key{number}": "x" * 2000 for number in range(20)}
    line = encode(Event(EVENT.origin, "load", Phase.END, 1, 2, "", many))
    assert len(line) <= LONGEST
    assert decode(line).attributes == {"cut": True}


def test_secrets_and_broken_text_are_not_written() -> None:
    attributes = {"token": "abc", "url": "https://me:secret@host/x", "path": "/\udcff"}
    line = encode(Event(EVENT.origin, "load", Phase.END, 1, 2, "", attributes))
    assert b"abc" not in line
    assert b"secret" not in line
    assert decode(line).attributes["path"] == "/?"


def test_numbers_that_are_none_survive() -> None:
    line = encode(Event(EVENT.origin, "load", Phase.END, 1, 2, "", {"x": math.inf}))
    assert decode(line).attributes == {"x": math.inf}
