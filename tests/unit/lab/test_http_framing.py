"""Where HTTP messages end, as the laboratory's proxy sees it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lab.http_framing import (
    EMPTY,
    Body,
    RequestHead,
    ResponseHead,
    chunk_size,
    request_head,
    response_head,
)
from bootseer.errors import CorruptError


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode()


def test_request_has_no_body_unless_it_says_so() -> None:
    asked = request_head(head("GET /v2/ HTTP/1.1", "Host: r", "Range: bytes=0-1"))
    assert asked == RequestHead("GET", "/v2/", EMPTY, last=False)


def test_length_chunks_and_closing_are_read_whatever_their_case() -> None:
    put = request_head(head("PUT /x HTTP/1.1", "content-LENGTH: 12", "Connection: Close"))
    assert put == RequestHead("PUT", "/x", Body(12), last=True)
    patch = request_head(head("PATCH /x HTTP/1.1", "Transfer-Encoding: chunked"))
    assert patch.body == Body(None, chunked=True)


@pytest.mark.parametrize(
    ("method", "status", "fields", "body"),
    [
        ("GET", 206, ["Content-Length: 5"], Body(5)),
        ("HEAD", 200, ["Content-Length: 5"], EMPTY),
        ("GET", 304, ["Content-Length: 5"], EMPTY),
        ("PUT", 100, [], EMPTY),
        ("GET", 200, ["Transfer-Encoding: chunked"], Body(None, chunked=True)),
    ],
)
def test_body_of_an_answer_follows_from_method_status_and_fields(
    method: str, status: int, fields: list[str], body: Body
) -> None:
    answer = response_head(head(f"HTTP/1.1 {status} Reason given", *fields), method)
    assert answer == ResponseHead(status, body, last=False)


def test_answer_without_a_length_ends_with_its_connection() -> None:
    answer = response_head(head("HTTP/1.1 200"), "GET")
    assert answer.body.until_close
    assert answer.last


def test_connection_of_the_older_version_is_kept_only_if_it_says_so() -> None:
    assert request_head(head("GET / HTTP/1.0")).last
    assert not request_head(head("GET / HTTP/1.0", "Connection: keep-alive")).last


def test_size_of_a_chunk_is_hexadecimal_and_may_have_extensions() -> None:
    assert chunk_size(b"1aF;name=value\r\n") == 0x1AF


@pytest.mark.parametrize(
    "bad",
    [
        head("GET /"),
        head("GET / HTTP/1.1", "no colon"),
        head("GET / HTTP/1.1", "Content-Length : 5"),
        head("GET / HTTP/1.1", "Content-Length: -5"),
        head("GET / HTTP/1.1", "Transfer-Encoding: gzip, chunked"),
    ],
)
def test_request_whose_end_is_unclear_is_refused(bad: bytes) -> None:
    with pytest.raises(CorruptError):
        request_head(bad)


@given(st.binary() | st.text().map(str.encode).map(lambda text: text + b"\r\n\r\n"))
def test_nothing_but_our_error_comes_of_any_bytes(data: bytes) -> None:
    for read in (request_head, lambda data: response_head(data, "GET"), chunk_size):
        with contextlib.suppress(CorruptError):
            read(data)
