"""Runs `attach.py`: mounts in other namespaces are a process' work that does nothing else.

Race-free: it keeps no state.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from bootseer.errors import HostError
from depsnap.mounting.points import SOURCE
from snapshotter.dependencies import attach
from snapshotter.dependencies.peers import Peer

_PATIENCE_S: Final = 20.0
"""How long it may take: it touches directories of others, which may hang."""
_GONE_S: Final = 1.0
_LATER: Final = 10
"""Niceness of a helper that has nothing to do yet: what it waits for is being made meanwhile."""


class Helper:
    """One process, for one question. Used inside `started`."""

    def __init__(self, process: asyncio.subprocess.Process, peer: Peer | None) -> None:
        self._process = process
        self._peer = peer

    async def cover(
        self, image: Path, source: str, points: Sequence[str], area: Path, tmpfs: str
    ) -> list[str]:
        """Mount overlays in the peer's namespace; return what was not covered by the same before.

        Args:
            image: where the tree is mounted in our namespace.
            source: name of the overlays.
            points: directories, without the slash in front.
            area: an empty directory for what is written; with `tmpfs` (options) not on its disk.

        Raises:
            HostError: it cannot be done; nothing is mounted.
        """
        answer = await self._ask(
            "mount",
            image=str(image),
            source=source,
            points=list(points),
            area=str(area),
            tmpfs=tmpfs,
        )
        return [str(one) for one in answer["mounted"]]

    async def uncover(self, points: Sequence[str]) -> list[str]:
        """Unmount overlays of ours in the peer's namespace; return what was covered.

        Raises:
            HostError: one is in use.
        """
        answer = await self._ask("unmount", source=SOURCE, points=list(points))
        return [str(one) for one in answer["unmounted"]]

    async def unused(self, areas: Sequence[Path]) -> list[Path]:
        """Return the areas that no overlay uses, in any namespace. HostError if it is not known."""
        answer = await self._ask("probe", areas=[str(area) for area in areas])
        return [Path(one) for one in answer["unused"]]

    async def _ask(self, what: str, **words: object) -> dict[str, Any]:
        asked = {"do": what, **words}
        _prefer(self._process, 0)
        if self._peer:
            asked |= {"process": self._peer.descriptor, "number": self._peer.number}
        try:
            async with asyncio.timeout(_PATIENCE_S):
                said, complained = await self._process.communicate(json.dumps(asked).encode())
        except TimeoutError as error:
            raise HostError(f"mounting took longer than {_PATIENCE_S:.0f} s") from error
        return _answer(said, complained)


@asynccontextmanager
async def started(peer: Peer | None = None) -> AsyncIterator[Helper]:
    """Have a helper while the context is open: it starts while it is found out what it has to do.

    `peer`: whose namespace it works in. It is not waited for if it hangs in the kernel.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", attach.__file__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(peer.descriptor,) if peer else (),
    )
    _prefer(process, _LATER)
    try:
        yield Helper(process, peer)
    finally:
        if process.returncode is None:
            process.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(_GONE_S):
                    await process.wait()


def _prefer(process: asyncio.subprocess.Process, niceness: int) -> None:
    with suppress(OSError):  # it may be gone; how soon it runs is not worth an error
        os.setpriority(os.PRIO_PROCESS, process.pid, niceness)


def _answer(said: bytes, complained: bytes) -> dict[str, Any]:
    """Return what the helper says. HostError if it failed."""
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError as error:
        last = complained.decode(errors="replace").strip().splitlines()[-1:]
        raise HostError(f"the helper that mounts died: {' '.join(last)[:300]}") from error
    if "error" in answer:
        number, text = answer["error"]
        raise HostError(f"the kernel does not allow the mount: {text}") from OSError(number, text)
    return answer
