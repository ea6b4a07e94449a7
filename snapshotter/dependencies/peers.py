"""Who is at the other end of a Unix socket, known so that nobody can take his place.

The kernel gives a descriptor of the process that connected (SO_PEERPIDFD, Linux 6.5). What is read
about it under its number is believed if the process still lives afterwards: as long as it does, its
number is nobody else's.
"""

import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import BootseerError, HostError

_SO_PEERPIDFD: Final = 77
_CREDENTIALS: Final = struct.Struct("=3i")


class RefusedError(BootseerError):
    """Somebody asks for what he may not have."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that asks for something. Valid inside `peer_of` only."""

    descriptor: int
    """Of the process (pidfd)."""
    number: int
    uid: int
    space: int
    """Its mount namespace, as a number."""
    users: int
    """Its user namespace."""
    groups: str
    """What `/proc/PID/cgroup` says."""


@contextmanager
def peer_of(connection: socket.socket) -> Iterator[Peer]:
    """Give who is connected.

    Raises:
        RefusedError: it is gone.
        HostError: the kernel does not say (Linux before 6.5).
    """
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    number, uid, _ = _CREDENTIALS.unpack(raw)
    try:
        descriptor = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        raise HostError(
            f"this kernel does not say who asks: {error.strerror}", hint="Linux 6.5 and newer do"
        ) from error
    try:
        yield _described(descriptor, number, uid)
    finally:
        os.close(descriptor)


def _described(descriptor: int, number: int, uid: int) -> Peer:
    home = Path("/proc") / str(number)
    try:
        peer = Peer(
            descriptor,
            number,
            uid,
            (home / "ns/mnt").stat().st_ino,
            (home / "ns/user").stat().st_ino,
            (home / "cgroup").read_text(errors="replace"),
        )
        signal.pidfd_send_signal(descriptor, 0)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise RefusedError("the process that asked is gone") from error
    return peer


def own_users() -> int:
    """Return our own user namespace, as `Peer.users` has it."""
    return Path("/proc/self/ns/user").stat().st_ino
