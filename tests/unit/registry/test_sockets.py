"""Receive buffers of connections to registries."""

import socket

from snapshotter.registry.sockets import registry_socket

SENT = 4 << 20


def test_megabytes_are_received_while_nobody_reads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (address,) = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
        with registry_socket(address) as ours:
            ours.connect(address[4])
            registry, _ = listening.accept()
            with registry:
                registry.settimeout(10)
                registry.sendall(bytes(SENT))
                registry.shutdown(socket.SHUT_WR)
            got = 0
            while piece := ours.recv(1 << 20):
                got += len(piece)
    assert got == SENT
