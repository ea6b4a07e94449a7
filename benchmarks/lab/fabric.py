"""Many machines on one: namespaces on a switch, each with a link whose speed is ours to set.

    switch: bridge --- veth pair --- services 192.0.2.1: registry, package index, NameNode
                   --- veth pair --- mirror   192.0.2.2: a cache before the registry
                   --- veth pair --- DataNode i: 192.0.2.(10+i)
                   --- veth pair --- node i:     192.0.2.(100+i)

The link of `services` is the uplink that all nodes share. Addresses and entering: as `netns`.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.hdfs_network import Machine
from benchmarks.lab.netns import fresh_namespaces, run_tool, sent_bytes, tbf_arguments
from bootseer.errors import HostError

MOST_NODES: Final = 100
_NETNS: Final = Path("/run/netns")
_LINK: Final = "lab0"


@dataclass(frozen=True, slots=True)
class NodeEnds:
    """One node and the services, as `netns.Ends`."""

    name: str
    node: Machine
    services: Machine

    def in_registry(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command that runs `argv` where the registry is."""
        return [*self.services.enter, *argv]

    def in_node(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command that runs `argv` on the node."""
        return [*self.node.enter, *argv]


class Fabric:
    """The machines. Made by `fabric`."""

    def __init__(self, name: str, nodes: int, data_nodes: int) -> None:
        self.name = name
        self._ports: dict[str, str] = {}
        self.services = self._machine("services", 1)
        self.mirror = self._machine("mirror", 2)
        self.data_nodes = [self._machine(f"data{n}", 10 + n) for n in range(data_nodes)]
        self.nodes = [self._machine(f"node{n}", 100 + n) for n in range(nodes)]

    def ends(self, number: int) -> NodeEnds:
        """Return a node as programs of the lab want it."""
        return NodeEnds(f"{self.name}-n{number}", self.nodes[number], self.services)

    def set_rate(self, machine: Machine, megabits: float | None) -> None:
        """Limit a machine's link to `megabits` a second each way; None: no limit."""
        kind = ["pfifo"] if megabits is None else ["tbf", *tbf_arguments(megabits)]
        port = self._ports[machine.address]
        for namespace, device in ((self._namespace(port), _LINK), (self._switch, port)):
            place = ["tc", "-n", namespace, "qdisc", "replace", "dev", device]
            run_tool([*place, "root", *kind])

    def bytes_from(self, machine: Machine) -> int:
        """Return the bytes that a machine has sent so far, headers included."""
        return sent_bytes(self._namespace(self._ports[machine.address]), _LINK)

    def bytes_to(self, machine: Machine) -> int:
        """Return the bytes that were sent to a machine so far, headers included."""
        return sent_bytes(self._switch, self._ports[machine.address])

    def make(self) -> None:
        """Make namespaces and links. HostError without leaving anything out of `remove`."""
        self._add(self._switch)
        run_tool(["ip", "-n", self._switch, "link", "add", _LINK, "type", "bridge"])
        run_tool(["ip", "-n", self._switch, "link", "set", _LINK, "up"])
        for address, port in self._ports.items():
            namespace = self._namespace(port)
            self._add(namespace)
            peer = ["peer", "name", _LINK, "netns", namespace]
            run_tool(["ip", "-n", self._switch, "link", "add", port, "type", "veth", *peer])
            run_tool(["ip", "-n", self._switch, "link", "set", port, "master", _LINK, "up"])
            run_tool(["ip", "-n", namespace, "address", "add", f"{address}/24", "dev", _LINK])
            run_tool(["ip", "-n", namespace, "link", "set", _LINK, "up"])

    @property
    def _switch(self) -> str:
        return self._namespace("switch")

    def _namespace(self, port: str) -> str:
        return f"{self.name}-{port}"

    def _machine(self, port: str, last: int) -> Machine:
        address = f"192.0.2.{last}"
        self._ports[address] = port
        return Machine(address, ("nsenter", f"--net={_NETNS / self._namespace(port)}", "--"))

    def _add(self, namespace: str) -> None:
        run_tool(["ip", "netns", "add", namespace])
        run_tool(["ip", "-n", namespace, "link", "set", "lo", "up"])


@contextlib.contextmanager
def fabric(nodes: int, data_nodes: int) -> Iterator[Fabric]:
    """Give fresh machines with fast links, removed with all that runs in them afterwards.

    Raises `HostError` without root or where the kernel lacks veth, bridge or tbf.
    """
    if not 1 <= nodes <= MOST_NODES:
        raise HostError(f"{nodes} nodes: the lab has 1 to {MOST_NODES}")
    with fresh_namespaces() as name:
        made = Fabric(name, nodes, data_nodes)
        made.make()
        yield made
