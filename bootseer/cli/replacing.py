"""Has a running daemon replaced by the program that is installed now."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bootseer.cli.control import fetch_status
from bootseer.errors import HostError

_MOST_S: Final = 100.0
"""What getting ready, stopping and starting may take together."""
_LOOK_S: Final = 0.1
_KEEPER: Final = b"snapshotter.blocks.keeper"


@dataclass(frozen=True, slots=True)
class Replaced:
    """The servers, by their process ids, and their versions."""

    old: int
    old_version: str
    new: int
    new_version: str


def replace_server(control: Path) -> Replaced:
    """Ask the keeper of the daemon behind a control socket, and wait until the new server answers.

    Raises:
        HostError: no daemon answers, or the old server goes on.
    """
    before = asyncio.run(fetch_status(control))
    keeper = _parent(before["pid"])
    os.kill(keeper, signal.SIGHUP)
    deadline = time.monotonic() + _MOST_S
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        after = _status(control)
        if after and after["pid"] != before["pid"]:
            return Replaced(before["pid"], before["version"], after["pid"], after["version"])
    raise HostError(
        f"server {before['pid']} was not replaced within {_MOST_S:.0f} s",
        hint="the log of the keeper says why (`upgrade_refused`); the old server goes on",
    )


def _status(control: Path) -> dict[str, Any] | None:
    try:
        return asyncio.run(fetch_status(control))
    except HostError:  # between the two
        return None


def _parent(server: int) -> int:
    """Return the keeper of a server. HostError if what started it is none."""
    try:
        status = Path(f"/proc/{server}/status").read_text()
        keeper = int(status.partition("\nPPid:")[2].split()[0])
        is_keeper = _KEEPER in Path(f"/proc/{keeper}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError) as error:
        raise HostError(f"server {server} cannot be looked at: {error}") from error
    if not is_keeper:
        raise HostError(f"server {server} was not started by a keeper", hint="restart it by hand")
    return keeper
