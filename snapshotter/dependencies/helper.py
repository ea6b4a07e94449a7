"""Runs `attach.py`: mounts in other namespaces are a process' work that does nothing else.

Race-free: it keeps no state.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bootseer.errors import HostError
from snapshotter.dependencies import attach
from snapshotter.dependencies.peers import Peer

_PATIENCE_S: Final = 20.0
"""How long it may take: it touches directories of others, which may hang."""
SOURCE: Final = "bootseer-deps-"
"""What the sources of all our overlays begin with, as mountinfo shows them."""


async def cover(
    peer: Peer, image: Path, source: str, points: Sequence[str], area: Path, tmpfs: str
) -> list[str]:
    """Mount overlays in a peer's namespace; return what was not covered by the same before.

    Args:
        image: where the tree is mounted in our namespace.
        source: name of the overlays.
        points: directories, without the slash in front.
        area: an empty directory for what is written; with `tmpfs` (its options) not on its disk.

    Raises:
        HostError: it cannot be done; nothing is mounted.
    """
    asked = {
        "do": "mount",
        "image": str(image),
        "source": source,
        "points": list(points),
        "area": str(area),
        "tmpfs": tmpfs,
    }
    return [str(one) for one in (await _ask(asked, peer))["mounted"]]


async def uncover(peer: Peer, points: Sequence[str]) -> list[str]:
    """Unmount overlays of ours in a peer's namespace; return what was covered.

    Raises:
        HostError: one is in use.
    """
    asked = {"do": "unmount", "source": SOURCE, "points": list(points)}
    return [str(one) for one in (await _ask(asked, peer))["unmounted"]]


async def unused(areas: Sequence[Path]) -> list[Path]:
    """Return the areas that no overlay uses, in any namespace. HostError if that is not known."""
    answer = await _ask({"do": "probe", "areas": [str(area) for area in areas]}, None)
    return [Path(one) for one in answer["unused"]]


async def _ask(asked: Mapping[str, object], peer: Peer | None) -> dict[str, Any]:
    process = {"process": peer.descriptor, "number": peer.number} if peer else {}
    document = os.memfd_create("asked")
    with os.fdopen(document, "wb", closefd=False) as file:
        file.write(json.dumps({**asked, **process}).encode())
    os.lseek(document, 0, os.SEEK_SET)
    try:
        helper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", attach.__file__, str(document)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(document, *([peer.descriptor] if peer else [])),
        )
    finally:
        os.close(document)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said, complained = await helper.communicate()
    except TimeoutError as error:
        raise HostError(f"mounting took longer than {_PATIENCE_S:.0f} s") from error
    finally:
        if helper.returncode is None:
            helper.kill()
    return _answer(said, complained)


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
