"""Byte ranges (RFC 9110, section 14): what to ask for, and what an answer gives. Pure.

Registries differ: some ignore Range and send the whole blob, some cut ranges short. What cannot
be used is a `RemoteError`, so that the next mirror is asked.
"""

import re
from dataclasses import dataclass
from typing import Final

from bootseer.errors import CorruptError, RemoteError

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\Z", re.ASCII)
_UNSATISFIED: Final = re.compile(r"bytes \*/(\d{1,19})\Z", re.ASCII)
_LENGTH: Final = re.compile(r"\d{1,19}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A `Content-Range`: bytes `first` to `last`, both included, of `total` (None: unknown)."""

    first: int
    last: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Body:
    """How to read the body of an answer to a Range request."""

    skip: int
    """Bytes to throw away first: the server ignored the range."""
    length: int | None
    """Bytes to take after that; None: to the end, wherever that is."""
    total: int | None
    """Size of the whole blob, if the answer says so."""
    more: bool = False
    """Bytes that nobody asked for follow: stop reading after `length`."""


def range_header(offset: int, length: int | None) -> str:
    """Return the value of `Range` for `length` bytes (None: to the end) from `offset`."""
    last = "" if length is None else str(offset + length - 1)
    return f"bytes={offset}-{last}"


def parse_content_range(value: str) -> ContentRange:
    """Return what a `Content-Range` header says.

    Raises:
        CorruptError: it is malformed, or contradicts itself.
    """
    match = _CONTENT_RANGE.match(value)
    if match is None:
        raise CorruptError(f"Content-Range {value[:100]!a} is malformed")
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if last < first or (total is not None and last >= total):
        raise CorruptError(f"Content-Range {value!a} contradicts itself")
    return ContentRange(first, last, total)


def parse_length(value: str | None) -> int | None:
    """Return the number in a `Content-Length` header; None if there is none.

    Raises:
        CorruptError: it is malformed.
    """
    if value is None:
        return None
    if not _LENGTH.match(value):
        raise CorruptError(f"Content-Length {value[:100]!a} is malformed")
    return int(value)


def plan_body(
    status: int,
    content_range: str | None,
    content_length: str | None,
    offset: int,
    length: int | None,
) -> Body:
    """Return how to get `length` bytes (None: to the end) from `offset` out of an answer.

    `status` is 200, 206 or 416; the headers are as received, None where missing. The rest of a
    blob from its very end is refused with 416, and is nothing.

    Raises:
        RemoteError: the answer does not hold these bytes.
    """
    try:
        size = parse_length(content_length)
        if status == 206:
            return _partial(content_range, size, offset, length)
    except CorruptError as error:
        raise RemoteError(error.message) from error
    if status == 416:
        return _none(content_range, offset, length)
    return _whole(size, offset, length)


def _none(value: str | None, offset: int, length: int | None) -> Body:
    match = _UNSATISFIED.match(value or "")
    if length is not None or match is None or int(match[1]) != offset:
        raise RemoteError(f"the blob has no bytes from {offset} on")
    return Body(skip=0, length=0, total=offset)


def _partial(value: str | None, size: int | None, offset: int, length: int | None) -> Body:
    if value is None:
        raise RemoteError("206 without Content-Range")
    got = parse_content_range(value)
    wanted_last = got.last if length is None else offset + length - 1
    if got.first != offset or got.last != wanted_last:
        asked = range_header(offset, length)
        raise RemoteError(f"asked for {asked}, the answer's Content-Range is {value!a}")
    if length is None and got.total is not None and got.last != got.total - 1:
        raise RemoteError(f"asked for the rest from {offset}, got {value!a}", temporary=True)
    span = got.last - got.first + 1
    if size is not None and size != span:
        raise RemoteError(f"Content-Range {value!a} with a Content-Length of {size}")
    return Body(skip=0, length=span, total=got.total)


def _whole(size: int | None, offset: int, length: int | None) -> Body:
    if size is not None and size < offset + (length or 0):
        raise RemoteError(f"the whole blob is {size} bytes, wanted were {length} from {offset}")
    if length is None:
        return Body(offset, None if size is None else size - offset, size)
    return Body(offset, length, size, more=size is None or size > offset + length)
