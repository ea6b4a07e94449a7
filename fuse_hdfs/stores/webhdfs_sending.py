"""Bodies of requests to DataNodes, handed to the socket from the memory where they are.

What aiohttp is given it joins with the frame of its chunk; what the socket does not take at once
is copied once more, and moved at each further attempt. Here the kernel takes a piece and its frame
from where they lie, as much of them as it has room for.

Race-free: one event loop's thread, one body a connection at a time. A piece goes past aiohttp only
while that has nothing left to send there, and it sends nothing by itself before the body has ended.
The socket that is waited for is a duplicate: the loop has a transport for the other one.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterable, Iterator, Sequence

import aiohttp.payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from fuse_hdfs.views import behind

_END = memoryview(b"\r\n")
"""Of a chunk."""


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
        with _socket(writer) as found:
            async for piece in self._content:
                if found is None or not _passable(writer):
                    await writer.write(piece)
                else:
                    frame = memoryview(f"{len(piece):x}\r\n".encode())
                    await _send(found, [frame, piece, _END])


@contextlib.contextmanager
def _socket(writer: AbstractStreamWriter) -> Iterator[socket.socket | None]:
    """Give the socket that a request goes to, the front of which is sent; None: there is TLS."""
    transport = writer.transport if isinstance(writer, StreamWriter) else None
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        yield None
        return
    writer.send_headers()
    with transport.get_extra_info("socket").dup() as found:
        yield found


def _passable(writer: AbstractStreamWriter) -> bool:
    """Say whether nothing waits to be sent that has to come before."""
    transport = writer.transport if isinstance(writer, StreamWriter) else None
    return (
        transport is not None
        and not transport.is_closing()
        and transport.get_write_buffer_size() == 0
    )


async def _send(to: socket.socket, pieces: Sequence[memoryview]) -> None:
    """Send pieces in order. OSError: the connection is gone."""
    while pieces:
        try:
            pieces = behind(pieces, to.sendmsg(pieces))
        except BlockingIOError:
            await _room(to)


async def _room(to: socket.socket) -> None:
    """Wait until a socket takes something, or says that it takes nothing any more."""
    loop = asyncio.get_running_loop()
    found = loop.create_future()

    def ready() -> None:
        if not found.done():
            found.set_result(None)

    loop.add_writer(to, ready)
    try:
        await found
    finally:
        loop.remove_writer(to)
