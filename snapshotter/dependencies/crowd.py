"""Who is connected to the pods' socket, so that no container takes what others need.

Race-free: the event loop's thread only, and nothing is awaited.
"""

import asyncio
import socket
import struct
from pathlib import Path
from typing import Final, Protocol

from snapshotter.dependencies.containers import container_of

MOST_EACH: Final = 8
"""Connections of one container; of all that are in none together likewise."""
MOST: Final = 256
"""Connections of all."""
_CREDENTIALS: Final = struct.Struct("=3i")


class Connection(Protocol):
    """One that may be over."""

    def is_closing(self) -> bool:
        """Say whether it is closed, or about to be."""
        ...


class Crowd:
    """The connections that there are."""

    def __init__(self, most: int = MOST, most_each: int = MOST_EACH) -> None:
        """Begin with none; the numbers are how many are let in, of all and of each."""
        self._most = most
        self._most_each = most_each
        self._inside: list[tuple[str, Connection]] = []

    def lets_in(self, who: str, connection: Connection) -> bool:
        """Say whether one more of `who` may stay, and count it from then on if so."""
        self._inside = [one for one in self._inside if not one[1].is_closing()]
        same = sum(name == who for name, _ in self._inside)
        if len(self._inside) >= self._most or same >= self._most_each:
            return False
        self._inside.append((who, connection))
        return True

    def admit(self, transport: asyncio.Transport) -> bool:
        """Say whether a connection to a Unix socket may stay; whose it is the kernel says."""
        return self.lets_in(_container(transport.get_extra_info("socket")), transport)


def _container(connection: socket.socket) -> str:
    """Return the container that a connection comes from; empty if from none, or its end is gone.

    Good enough to count by: what is asked is authorised by a descriptor of the process.
    """
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    number, _, _ = _CREDENTIALS.unpack(raw)
    try:
        cgroups = Path(f"/proc/{number}/cgroup").read_text(errors="replace")
    except OSError:
        return ""
    found = container_of(cgroups)
    return "/".join(found) if found else ""
