"""Unix sockets of services: nobody else may connect, and at no time is there none."""

import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from grpc import aio

from bootseer.errors import HostError, UsageError

_ADDRESS: Final = 107
"""Longest path of a Unix socket, in bytes (unix(7))."""


async def listen(server: aio.Server, path: Path) -> int:
    """Bind and start a server; return the socket's inode.

    The socket is made in a directory of our own and then moved: nobody can connect before its
    permissions are set, and at no time is there no socket when another server is replaced.

    Raises:
        HostError: somebody listens there, or something else is at the path.
        UsageError: the path is too long.
    """
    _check_free(path)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as private:
        bound = Path(private) / "s"
        for address in (bound, path):
            if len(str(address).encode()) > _ADDRESS:
                raise UsageError(
                    f"socket path {str(path)!r} is too long", hint="choose a shorter directory"
                )
        server.add_insecure_port(f"unix:{bound}")
        await server.start()
        bound.chmod(0o600)
        inode = bound.stat().st_ino
        bound.rename(path)
    return inode


def _check_free(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise HostError(f"{path} exists and is no socket", hint="move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        with suppress(ConnectionRefusedError, FileNotFoundError):
            probe.connect(str(path))
            raise HostError(
                f"another server listens on {path}", hint="stop it, or choose another socket"
            )


def withdraw(path: Path, inode: int) -> None:
    """Unlink the socket unless it is another's by now."""
    with suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()
