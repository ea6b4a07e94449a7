"""What is said to the service manager (systemd). Stdlib only."""

import os
import socket


def notify(message: str, *descriptors: int) -> bool:
    """sd_notify(3): send a message, with descriptors, to the service manager.

    Return whether there is one and it could be reached.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            channel.connect(address)
            socket.send_fds(channel, [message.encode()], list(descriptors))
        except OSError:
            return False
    return True
