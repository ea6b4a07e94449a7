"""Bodies of answers of DataNodes, received straight into the memory where they are wanted.

aiohttp hands on what comes in the pieces that the socket happens to have, and copies each several
times. Of a long body whose length is known only the front comes that way: from then on the
connection is ours.

Race-free: one event loop's thread; one `read` at a time. Between the look at what aiohttp has
received and the change of hands nothing awaits, so nothing comes between.
"""

import asyncio
from typing import Final

import aiohttp

from fuse_hdfs.stores.unset_bytes import Unset, unset_bytes

_WORTH: Final = 256 << 10
"""Bytes of a body from which on this is worth its trouble."""


class AnswerBody:
    """The body of an answer, whoever receives it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """From here on it is read only here; `response` has to stay open."""
        self._content = response.content
        self._rest = _Rest.taken(response)

    async def read(self, length: int) -> bytes:
        """Return the next bytes; fewer only where the body ends.

        aiohttp.ClientError: the connection breaks off. Who cancels it gets no more of the body.
        """
        if self._rest is not None:
            return await self._rest.read(length)
        try:
            return await self._content.readexactly(length)
        except asyncio.IncompleteReadError as error:
            return error.partial


class _Rest(asyncio.BufferedProtocol):
    """A connection on which the rest of one body comes, and nothing else."""

    def __init__(
        self, transport: asyncio.Transport, before: asyncio.BaseProtocol, front: bytes, rest: int
    ) -> None:
        """`before`: who had it; `front`: what he has received; `rest`: bytes that are to come."""
        self._transport = transport
        self._before = before
        self._front = front
        self._rest = rest
        self._wanted = memoryview(b"")
        """The memory that `read` waits for, from the first byte on that has not come."""
        self._unset: Unset | None = None
        """What that memory is of: held while a byte may come, also where nobody waits any more."""
        self._waiting: asyncio.Future[None] | None = None
        self._lost = False

    @classmethod
    def taken(cls, response: aiohttp.ClientResponse) -> "_Rest | None":
        """Take a connection over; None if the body is short, or its length is not known."""
        length, connection = response.content_length, response.connection
        encoded = {"Transfer-Encoding", "Content-Encoding"} & set(response.headers)
        if connection is None or length is None or length < _WORTH or encoded:
            return None
        transport = connection.transport
        if not isinstance(transport, asyncio.Transport):
            return None
        front = bytearray()
        while piece := response.content.read_nowait():
            front += piece
        taken = cls(transport, transport.get_protocol(), bytes(front), length - len(front))
        transport.pause_reading()
        transport.set_protocol(taken)
        return taken

    async def read(self, length: int) -> bytes:
        """Return the next bytes; fewer only where the body ends."""
        front, self._front = self._front[:length], self._front[length:]
        rest = min(length - len(front), self._rest)
        if not rest:
            return front
        unset = self._unset = unset_bytes(len(front) + rest)
        unset.memory[: len(front)] = front
        await self._receive(unset.memory[len(front) :])
        self._unset = None
        return unset.data

    async def _receive(self, wanted: memoryview) -> None:
        if self._lost or self._transport.is_closing():
            raise _broken_off()
        self._wanted = wanted
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.resume_reading()
        try:
            await self._waiting
        finally:
            self._transport.pause_reading()
            self._waiting = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        del sizehint
        return self._wanted

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._rest -= nbytes
        self._wanted = self._wanted[nbytes:]
        if not self._wanted:
            self._transport.pause_reading()
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._lost = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(_broken_off())
        self._before.connection_lost(exc)


def _broken_off() -> aiohttp.ClientError:
    return aiohttp.ClientPayloadError("the answer breaks off")
