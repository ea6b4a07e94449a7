"""Where HTTP/1.1 messages end (RFC 9112, section 6): as much as a relay must know. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bootseer.errors import CorruptError

END: Final = b"\r\n\r\n"
"""What a message's head ends with."""

_WITHOUT_BODY: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Body:
    """What follows a head. `length` is None where only the sender knows: then either it is
    `chunked`, or it ends with the connection.
    """

    length: int | None
    chunked: bool = False

    @property
    def until_close(self) -> bool:
        """Whether the body ends when its sender hangs up."""
        return self.length is None and not self.chunked


EMPTY: Final = Body(0)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request before its body."""

    method: str
    target: str
    body: Body
    last: bool
    """Whether the client wants the connection closed after it."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """An answer before its body."""

    status: int
    body: Body
    last: bool
    """Whether the server closes the connection after it."""

    @property
    def interim(self) -> bool:
        """Whether the real answer is still to come (`100 Continue`)."""
        return self.status < 200


def request_head(head: bytes) -> RequestHead:
    """Read a request's head, `END` included. Raises `CorruptError`."""
    line, fields = _split(head)
    words = line.split(" ")
    if len(words) != 3 or not all(words):
        raise CorruptError("not a request line")
    body = _body(fields, EMPTY)
    return RequestHead(words[0], words[1], body, _last(fields, words[2]))


def response_head(head: bytes, method: str) -> ResponseHead:
    """Read the head, `END` included, of the answer to a `method`. Raises `CorruptError`."""
    line, fields = _split(head)
    words = line.split(" ", 2)
    if len(words) < 2 or len(words[1]) != 3 or not _number(words[1]):
        raise CorruptError("not a status line")
    status = int(words[1])
    if method == "HEAD" or status < 200 or status in _WITHOUT_BODY:
        body = EMPTY
    else:
        body = _body(fields, Body(None))
    return ResponseHead(status, body, body.until_close or _last(fields, words[0]))


def chunk_size(line: bytes) -> int:
    """Return the size that a chunk's first line, line end included, announces; 0 ends the body.

    Raises `CorruptError`.
    """
    digits = line.split(b";", 1)[0].strip()
    if not 0 < len(digits) <= 15 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise CorruptError("not the size of a chunk")
    return int(digits, 16)


def _split(head: bytes) -> tuple[str, dict[str, str]]:
    line, *lines = head.removesuffix(END).decode("latin-1").split("\r\n")
    return line, dict(_fields(lines))


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise CorruptError("not a header field")
        yield name.lower(), value.strip()


def _body(fields: dict[str, str], otherwise: Body) -> Body:
    if coding := fields.get("transfer-encoding"):
        if coding.lower() != "chunked":
            raise CorruptError(f"a transfer coding that is not chunked: {coding[:40]!a}")
        return Body(None, chunked=True)
    length = fields.get("content-length")
    if length is None:
        return otherwise
    if not _number(length):
        raise CorruptError("not a length")
    return Body(int(length))


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def _last(fields: dict[str, str], version: str) -> bool:
    options = {option.strip() for option in fields.get("connection", "").lower().split(",")}
    return "close" in options or (version == "HTTP/1.0" and "keep-alive" not in options)
