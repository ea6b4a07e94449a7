"""Bytes from one socket to another without a copy in user space: splice(2) through a pipe.

A proxy that reads and writes costs the cores that the measured programs run on.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
from typing import Final

from bootseer.errors import CorruptError

_PIECE: Final = 1 << 20
_HEAD: Final = 64 << 10
"""The longest head or line that is believed in."""


class Pipe:
    """A pipe to splice through. Empty whenever no `splice` runs; a closed one has lost its use."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with contextlib.suppress(PermissionError):  # many pipes: small ones do as well
            fcntl.fcntl(self._write, fcntl.F_SETPIPE_SZ, _PIECE)

    def close(self) -> None:
        """Give its descriptors back."""
        os.close(self._read)
        os.close(self._write)

    async def splice(self, source: socket.socket, target: socket.socket, most: int) -> int:
        """Pass on what is there, at least one byte and at most `most`; 0: `source` has ended."""
        taken = await _when_ready(source, self._write, source, min(most, _PIECE))
        left = taken
        while left:
            left -= await _when_ready(self._read, target, target, left)
        return taken


async def _when_ready(
    source: socket.socket | int, target: socket.socket | int, waits: socket.socket, most: int
) -> int:
    """Splice once the socket of the two (`waits`) lets us."""
    taken, given = (end if isinstance(end, int) else end.fileno() for end in (source, target))
    loop = asyncio.get_running_loop()
    add, remove = (
        (loop.add_reader, loop.remove_reader)
        if waits is source
        else (loop.add_writer, loop.remove_writer)
    )
    while True:
        try:
            return os.splice(taken, given, most, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
        except BlockingIOError:
            ready = asyncio.Event()
            add(waits, ready.set)
            try:
                await ready.wait()
            finally:
                remove(waits)


class Stream:
    """One connection: heads are read into memory, bodies are spliced past it.

    Used by one reader and one writer at a time.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._ahead = b""

    async def until(self, end: bytes) -> bytes:
        """Return what comes up to and including `end`; empty if the peer hung up before it began.

        Raises:
            CorruptError: it is too long, or breaks off.
        """
        loop = asyncio.get_running_loop()
        while (found := self._ahead.find(end)) < 0:
            if len(self._ahead) > _HEAD:
                raise CorruptError("the head of a message is too long")
            piece = await loop.sock_recv(self.socket, _HEAD)
            if not piece:
                if self._ahead:
                    raise CorruptError("a message broke off")
                return b""
            self._ahead += piece
        taken, self._ahead = self._ahead[: found + len(end)], self._ahead[found + len(end) :]
        return taken

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def pass_on(self, target: "Stream", length: int | None, pipe: Pipe) -> int:
        """Pass `length` bytes (None: all until the peer hangs up) on; return how many they were.

        Raises:
            CorruptError: the peer hung up before all were there.
        """
        first, self._ahead = self._ahead[:length], self._ahead[len(self._ahead[:length]) :]
        if first:
            await target.send(first)
        passed = len(first)
        while length is None or passed < length:
            most = _PIECE if length is None else length - passed
            piece = await pipe.splice(self.socket, target.socket, most)
            if not piece:
                if length is not None:
                    raise CorruptError("a message broke off")
                break
            passed += piece
            await asyncio.sleep(0)  # or one fast body would keep all others waiting
        return passed
