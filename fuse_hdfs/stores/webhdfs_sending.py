"""Bodies of requests to DataNodes, handed to the socket from the memory where they are.

What aiohttp is given it joins with the frame of its chunk; what the socket does not take at once
is copied once more, and moved at each further attempt. Here the kernel takes a piece and its frame
from where they lie, as much of them as it has room for. Only a little is left to aiohttp each time
that there is none: it says when there is again.

Race-free: one event loop's thread, one body a connection at a time. A piece goes past aiohttp only
while that has nothing left to send there, and it sends nothing by itself before the body has ended.
Nothing awaits between the look whether a connection is open and the use of its descriptor.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp.payload
from aiohttp import ClientConnectionResetError
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from fuse_hdfs.views import behind

_END: Final = memoryview(b"\r\n")
"""Of a chunk."""
_LEFT: Final = 16 << 10
"""Bytes that are left to aiohttp."""


class SentBody(aiohttp.payload.Payload):
    """A body whose length is not known before it ends, sent in chunks."""

    _autoclose = True  # aiohttp is not to complain: nothing here needs to be closed

    def __init__(self, content: AsyncIterable[memoryview]) -> None:
        """`content`: the chunks; what it raises ends the request."""
        super().__init__(content)
        self._content = content

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse: it is there only once, and no text."""
        raise TypeError("the body of a file is no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all chunks."""
        self._consumed = True  # nothing of it can be sent a second time
        with _past(writer) as past:
            async for piece in self._content:
                if past is None:
                    await writer.write(piece)
                else:
                    frame = memoryview(f"{len(piece):x}\r\n".encode())
                    await past.send([frame, piece, _END])
                del piece  # see `views.Pieces`


@dataclass(frozen=True, slots=True)
class _Past:
    """A way to a socket past aiohttp."""

    writer: StreamWriter
    transport: asyncio.Transport

    async def send(self, pieces: Sequence[memoryview]) -> None:
        """Send pieces in order. OSError: the connection is gone."""
        while pieces:
            if self.transport.is_closing():
                raise ClientConnectionResetError("the connection is closed")
            if self.transport.get_write_buffer_size():
                await self.writer.drain()
                continue
            try:
                socket = self.transport.get_extra_info("socket")
                done = os.writev(socket.fileno(), pieces)
            except BlockingIOError:
                left = pieces[0][:_LEFT]
                self.transport.write(left)
                done = len(left)
            pieces = behind(pieces, done)


@contextlib.contextmanager
def _past(writer: AbstractStreamWriter) -> Iterator[_Past | None]:
    """Give the way for a request, the front of which is sent; None: there is TLS between."""
    transport = writer.transport if isinstance(writer, StreamWriter) else None
    if not isinstance(writer, StreamWriter) or transport is None or _is_tls(transport):
        yield None
        return
    if hasattr(writer, "send_headers"):  # before aiohttp 3.12 they are sent at once
        writer.send_headers()
    transport.set_write_buffer_limits(high=0)  # so that `drain` is over when nothing is left
    try:
        yield _Past(writer, transport)
    finally:
        transport.set_write_buffer_limits()


def _is_tls(transport: asyncio.Transport) -> bool:
    return transport.get_extra_info("sslcontext") is not None
