"""Network namespaces for an HDFS: a hub with NameNode and clients, and one for each DataNode.

    hub: bridge lab0 192.0.2.1/24 --- veth pair --- DataNode i: lab0 192.0.2.(10+i)/24

Each DataNode's link has a speed of its own in both directions. Addresses and entering: as `netns`.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.netns import fresh_namespaces, run_tool, tbf_arguments

_NETNS: Final = Path("/run/netns")
_LINK: Final = "lab0"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where programs of a cluster run."""

    address: str
    enter: tuple[str, ...] = ()
    """What comes before a command so that it runs there."""


LOOPBACK: Final = Machine("127.0.0.1")


class HdfsNetwork:
    """A hub and its DataNodes' namespaces. Made by `hdfs_network`."""

    def __init__(self, name: str, data_nodes: int) -> None:
        self._name = name
        self.hub = self._machine("hub", 1)
        self.data_nodes = [self._machine(f"data{n}", 10 + n) for n in range(data_nodes)]

    def set_rate(self, number: int, megabits: float | None) -> None:
        """Limit a DataNode's link to `megabits` a second each way; None: no limit."""
        for namespace, device in ((f"data{number}", _LINK), ("hub", f"data{number}")):
            place = ["tc", "-n", f"{self._name}-{namespace}", "qdisc", "replace", "dev", device]
            kind = ["pfifo"] if megabits is None else ["tbf", *tbf_arguments(megabits)]
            run_tool([*place, "root", *kind])

    def set_link(self, number: int, *, up: bool) -> None:
        """Plug a DataNode's cable in, or pull it out: nothing arrives, nobody is told."""
        state = "up" if up else "down"
        run_tool(["ip", "-n", f"{self._name}-hub", "link", "set", f"data{number}", state])

    def make(self) -> None:
        """Make namespaces and links. HostError."""
        hub = f"{self._name}-hub"
        self._add(hub)
        run_tool(["ip", "-n", hub, "link", "add", _LINK, "type", "bridge"])
        self._up(hub, _LINK, self.hub.address)
        for number, machine in enumerate(self.data_nodes):
            namespace, port = f"{self._name}-data{number}", f"data{number}"
            self._add(namespace)
            peer = ["peer", "name", _LINK, "netns", namespace]
            run_tool(["ip", "-n", hub, "link", "add", port, "type", "veth", *peer])
            run_tool(["ip", "-n", hub, "link", "set", port, "master", _LINK, "up"])
            self._up(namespace, _LINK, machine.address)

    def _machine(self, what: str, last: int) -> Machine:
        enter = ("nsenter", f"--net={_NETNS / f'{self._name}-{what}'}", "--")
        return Machine(f"192.0.2.{last}", enter)

    def _add(self, namespace: str) -> None:
        run_tool(["ip", "netns", "add", namespace])
        run_tool(["ip", "-n", namespace, "link", "set", "lo", "up"])

    def _up(self, namespace: str, device: str, address: str) -> None:
        run_tool(["ip", "-n", namespace, "address", "add", f"{address}/24", "dev", device])
        run_tool(["ip", "-n", namespace, "link", "set", device, "up"])


@contextlib.contextmanager
def hdfs_network(data_nodes: int, megabits: float | None = None) -> Iterator[HdfsNetwork]:
    """Give fresh namespaces, removed with all that runs in them afterwards.

    Raises `HostError` without root or where the kernel lacks veth, bridge or tbf.
    """
    with fresh_namespaces() as name:
        made = HdfsNetwork(name, data_nodes)
        made.make()
        for number in range(data_nodes):
            made.set_rate(number, megabits)
        yield made
