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
_READ: Final = 64 << 10


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
    try:
        process = await asyncio.create_subprocess_exec(
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
            answer = await _converse(process, question, most, name)
            status = await process.wait()
    except TimeoutError:
        raise ProgramError(f"{name} did not answer within {seconds:g} s") from None
    finally:
        await _end(process)
    if status:
        raise ProgramError(f"{name} failed with exit code {status}", status=status)
    return answer


async def _converse(
    process: asyncio.subprocess.Process, question: bytes, most: int, name: str
) -> bytes:
    assert process.stdin is not None  # noqa: S101 (for the type checker)
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read
        process.stdin.write(question)
        await process.stdin.drain()
        process.stdin.close()
    answer = bytearray()
    while piece := await process.stdout.read(_READ):
        answer += piece
        if len(answer) > most:
            raise ProgramError(f"{name} said more than {most} bytes")
    return bytes(answer)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of the process and its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
