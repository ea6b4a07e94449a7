"""Deleting trees that containers wrote: of any size and depth, and possible to stop."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 100
"""Trees in one command line."""


async def delete(paths: Sequence[Path]) -> None:
    """Delete trees; what can't be deleted is logged, and met again at the next sweep.

    rm(1) does it: it takes paths of any length, which shutil.rmtree does not before Python 3.13
    and path names never do, it is not slowed by the rest of this process, and it stays on one
    file system should somebody have mounted something in there.
    """
    for start in range(0, len(paths), _AT_ONCE):
        batch = map(str, paths[start : start + _AT_ONCE])
        said = await _run("rm", "-rf", "--one-file-system", "--", *batch)
        if said:
            fields = {"error": said[-500:]}
            _log.warning("removed snapshots not deleted", extra={"fields": fields})


async def _run(*command: str) -> str:
    """Run a command to its end and return its complaints. It dies if we are cancelled."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return str(error)
    try:
        _, said = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return said.decode(errors="replace").strip() if process.returncode else ""
