"""Sockets to registries: with room for what arrives while nobody reads.

The kernel lets a connection's receive buffer grow as the reader empties it, from some 128 KiB on.
When a start begins, our event loop has other things to do for some milliseconds, which are
megabytes of a fast link: the buffer is full and the sender waits. So it is large from the first
byte on.
"""

import socket
from contextlib import suppress
from typing import Any, Final

_RECEIVED: Final = 8 << 20
"""Bytes. A size that was set does not grow any more; the kernel's own limit is 6 MiB by default."""
_SO_RCVBUFFORCE: Final = 33  # socket(7): past net.core.rmem_max, for CAP_NET_ADMIN


def registry_socket(
    address: "tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]",
) -> socket.socket:
    """Return a socket for an entry of `getaddrinfo`; aiohttp connects it."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    with suppress(OSError):  # without the right to it the kernel sees to it
        made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVED)
    return made
