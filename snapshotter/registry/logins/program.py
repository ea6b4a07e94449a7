"""Runs a credential program: a question at its input, an answer of bounded size, a time-out.

Whatever it says may be a secret. So nothing of its output is ever in an error or a log, only how it
ended; and what it is asked goes to its input, never into its arguments, which `ps` shows.

Race-free: no state but the process, which is one call's own. It leads a process group, and that is
killed whichever way the call ends, so that no child of a helper outlives it.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bootseer.errors import HostError

SECONDS: Final = 20.0
"""How long a program may take: some ask a cloud."""
_GONE_S: Final = 5.0
"""How long one that was killed may take to be gone."""
_OUTPUT: Final = 1


class ProgramError(HostError):
    """A credential program failed, or could not be run. `status`: its exit code, if it has one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message, hint="run it by hand to see what it says")
        self.status = status


async def ask_program(
    argv: Sequence[str | Path],
    question: bytes,
    *,
    most: int,
    environment: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> bytes:
    """Return what a program answers (at most `most` bytes) to a question at its input.

    `environment`: variables beside our own.

    Raises:
        ProgramError: it cannot be run, fails, says too much or takes too long.
    """
    name = Path(argv[0]).name
    loop = asyncio.get_running_loop()
    try:
        transport, talk = await loop.subprocess_exec(
            lambda: _Talk(most),
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"{name} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(seconds):
            _ask(transport, question)
            if await talk.heard():
                raise ProgramError(f"{name} said more than {most} bytes")
            await talk.ended.wait()
    except TimeoutError:
        raise ProgramError(f"{name} did not answer within {seconds:g} s") from None
    finally:
        await _end(transport, talk)
    status = transport.get_returncode()
    if status:
        raise ProgramError(f"{name} failed with exit code {status}", status=status)
    return bytes(talk.answer)


class _Talk(asyncio.SubprocessProtocol):
    """What one program says. (asyncio's `Process` may wait for ever for one that says much: it does
    not hear that a pipe has ended which it has stopped reading.)
    """

    def __init__(self, most: int) -> None:
        self.answer = bytearray()
        self.ended = asyncio.Event()
        self._most = most
        self._heard = asyncio.Event()

    async def heard(self) -> bool:
        """Wait for the end of what it says; say whether that is too much."""
        await self._heard.wait()
        return len(self.answer) > self._most

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what it says, as long as it is of use."""
        if len(self.answer) <= self._most:
            self.answer += data
        if len(self.answer) > self._most:
            self._heard.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Note the end of its output; it need not read its input."""
        if fd == _OUTPUT:
            self._heard.set()

    def process_exited(self) -> None:
        """Note that it has ended."""
        self.ended.set()


def _ask(transport: asyncio.SubprocessTransport, question: bytes) -> None:
    """Write the question, and that it ends; what is not read of it is dropped with the pipe."""
    pipe = transport.get_pipe_transport(0)
    assert isinstance(pipe, asyncio.WriteTransport)  # noqa: S101 (for the type checker)
    pipe.write(question)
    pipe.close()


async def _end(transport: asyncio.SubprocessTransport, talk: _Talk) -> None:
    """Kill what is left of the process and its children, and let go of its pipes.

    One that hangs in the kernel is not waited for.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GONE_S):
                await talk.ended.wait()
    finally:
        transport.close()
