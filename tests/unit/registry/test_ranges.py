"""Range rules: whatever a server says, either the bytes are exactly known or it is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError, RemoteError
from snapshotter.registry.ranges import (
    Body,
    ContentRange,
    parse_content_range,
    parse_length,
    plan_body,
    range_header,
)

SIZES = st.integers(1, 10_000)


@given(size=SIZES, data=st.data(), told=st.booleans())
def test_an_honest_partial_answer_is_taken_whole(
    size: int, data: st.DataObject, told: bool
) -> None:
    offset = data.draw(st.integers(0, size - 1))
    length = data.draw(st.integers(1, size - offset))
    header = f"bytes {offset}-{offset + length - 1}/{size if told else '*'}"
    body = plan_body(206, header, str(length), offset, length)
    assert body == Body(0, length, size if told else None)


@given(size=SIZES, data=st.data(), told=st.booleans())
def test_a_whole_answer_is_cut_to_what_was_asked_for(
    size: int, data: st.DataObject, told: bool
) -> None:
    offset = data.draw(st.integers(0, size - 1))
    length = data.draw(st.integers(1, size - offset))
    body = plan_body(200, None, str(size) if told else None, offset, length)
    content = bytes(i % 251 for i in range(size))
    taken = content[body.skip :][: body.length]
    assert taken == content[offset : offset + length]
    assert body.more or offset + length == size


@given(
    status=st.sampled_from([200, 206, 416]),
    content_range=st.none()
    | st.text()
    | st.from_regex(r"bytes (\d{1,21}-\d{1,21}|\*)/(\d{1,21}|\*)"),
    content_length=st.none() | st.text() | st.from_regex(r"-?\d{1,25}"),
    offset=st.integers(0, 2**63),
    length=st.none() | st.integers(1, 2**40),
)
def test_any_answer_is_a_plan_inside_what_was_asked_for_or_a_remote_error(
    status: int,
    content_range: str | None,
    content_length: str | None,
    offset: int,
    length: int | None,
) -> None:
    try:
        body = plan_body(status, content_range, content_length, offset, length)
    except RemoteError:
        return
    assert body.skip in {0, offset}
    if length is not None:
        assert body.length == length


@given(st.text() | st.from_regex(r"bytes \d+-\d+/(\d+|\*)"))
def test_a_content_range_is_consistent_or_corrupt(value: str) -> None:
    try:
        found = parse_content_range(value)
    except CorruptError:
        return
    assert 0 <= found.first <= found.last
    assert found.total is None or found.last < found.total


@pytest.mark.parametrize("value", ["bytes 5-4/10", "bytes 0-10/10", "bytes 0-1", "bytes=0-1/2"])
def test_a_contradiction_is_corrupt(value: str) -> None:
    with pytest.raises(CorruptError):
        parse_content_range(value)


@pytest.mark.parametrize("value", ["", "-1", "1.0", "\u0661", " 1", "1e3", "9" * 40])
def test_a_malformed_length_is_corrupt(value: str) -> None:
    with pytest.raises(CorruptError):
        parse_length(value)


def test_headers_are_written_as_the_rfc_has_them() -> None:
    assert range_header(0, 1) == "bytes=0-0"
    assert range_header(10, None) == "bytes=10-"
    assert parse_content_range("bytes 0-0/1") == ContentRange(0, 0, 1)
