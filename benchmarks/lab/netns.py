"""Two network namespaces and the link between them, whose speed towards the node is ours to set.

    registry namespace                       node namespace
      lab0 192.0.2.1/24  --- veth pair ---     lab0 192.0.2.2/24
      tbf: at most `rate`  --------------->

The addresses are of TEST-NET-1 (RFC 5737) and exist only inside the namespaces. Programs enter with
nsenter(1), not with `ip netns exec`: that one also gives them a mount namespace of their own, and a
mount made by the snapshotter must be seen by containerd.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from benchmarks.lab.cleanup import in_cgroup, kill_all
from benchmarks.lab.labname import PREFIX, fresh_name, orphaned
from bootseer.errors import HostError

REGISTRY_ADDRESS: Final = "192.0.2.1"
NODE_ADDRESS: Final = "192.0.2.2"
DEFAULT_RATE: Final = 200.0
"""Megabits a second from registry to node."""

_NETNS: Final = Path("/run/netns")
_LINK: Final = "lab0"


class Ends(Protocol):
    """What programs of the lab want to know of a network: where a registry and a node are."""

    @property
    def name(self) -> str:
        """A name that this lab alone has for the node."""
        ...

    def in_registry(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command that runs `argv` where the registry is."""
        ...

    def in_node(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command that runs `argv` on the node."""
        ...


class Network:
    """Two joined namespaces. Made by `network`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.registry = f"{name}-registry"
        self.node = f"{name}-node"

    def in_registry(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command that runs `argv` in the registry's namespace."""
        return ["nsenter", f"--net={_NETNS / self.registry}", "--", *argv]

    def in_node(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command that runs `argv` in the node's namespace."""
        return ["nsenter", f"--net={_NETNS / self.node}", "--", *argv]

    def set_rate(self, megabits: float | None) -> None:
        """Limit the direction registry -> node to `megabits` a second; None: no limit."""
        device = ["dev", _LINK, "root"]
        if megabits is None:
            run_tool(["tc", "-n", self.registry, "qdisc", "replace", *device, "pfifo"])
            return
        tbf = tbf_arguments(megabits)
        run_tool(["tc", "-n", self.registry, "qdisc", "replace", *device, "tbf", *tbf])

    def bytes_to_node(self) -> int:
        """Return the bytes that went from registry to node so far, headers included."""
        return sent_bytes(self.registry, _LINK)

    def bytes_from_node(self) -> int:
        """Return the bytes that went from node to registry so far, headers included."""
        return sent_bytes(self.node, _LINK)

    def processes(self) -> list[int]:
        """Return the processes in either namespace."""
        return _processes((self.registry, self.node))

    def make(self) -> None:
        """Make namespaces and link. Raises `HostError`."""
        for namespace in (self.registry, self.node):
            run_tool(["ip", "netns", "add", namespace])
            run_tool(["ip", "-n", namespace, "link", "set", "lo", "up"])
        peer = ["peer", "name", _LINK, "netns", self.registry]
        run_tool(["ip", "-n", self.node, "link", "add", _LINK, "type", "veth", *peer])
        addresses = {self.registry: REGISTRY_ADDRESS, self.node: NODE_ADDRESS}
        for namespace, address in addresses.items():
            run_tool(["ip", "-n", namespace, "address", "add", f"{address}/24", "dev", _LINK])
            run_tool(["ip", "-n", namespace, "link", "set", _LINK, "up"])


def tbf_arguments(megabits: float) -> list[str]:
    """Return tc-tbf(8)'s parameters for a rate in megabits a second.

    The bucket holds 4 ms of traffic, and at least two of the largest segments that a veth passes
    on whole (64 KiB): a smaller one would drop them.
    """
    burst = max(128 << 10, int(megabits * 1e6 / 8 * 0.004))
    return ["rate", f"{round(megabits * 1000)}kbit", "burst", f"{burst}b", "latency", "50ms"]


@contextlib.contextmanager
def network(megabits: float | None = DEFAULT_RATE) -> Iterator[Network]:
    """Give a fresh pair of joined namespaces, removed with all that runs in them afterwards.

    Raises `HostError` without root or where the kernel lacks veth or tbf.
    """
    with fresh_namespaces() as name:
        made = Network(name)
        made.make()
        made.set_rate(megabits)
        yield made


@contextlib.contextmanager
def fresh_namespaces() -> Iterator[str]:
    """Give a name for namespaces, which begin with it; they and all that runs in them are removed
    afterwards. Raises `HostError` without root.
    """
    if os.geteuid() != 0:
        raise HostError("network namespaces need root", hint="run it with sudo")
    sweep()
    name = fresh_name()
    try:
        yield name
    finally:
        _remove(name)


def sweep() -> None:
    """Remove what labs left behind whose process is gone (killed with SIGKILL, say)."""
    for path in _NETNS.glob(f"{PREFIX}-*"):
        if name := orphaned(path.name):
            _remove(name)


def _remove(name: str) -> None:
    """Kill what runs inside, and the lab's containers; remove the namespaces. Never raises."""
    namespaces = [path.name for path in _NETNS.glob(f"{name}-*")]
    kill_all(lambda: [*_processes(namespaces), *in_cgroup(name)])
    for namespace in namespaces:
        with contextlib.suppress(HostError):
            run_tool(["ip", "netns", "delete", namespace])


def _processes(namespaces: Sequence[str]) -> list[int]:
    found: list[int] = []
    for namespace in namespaces:
        with contextlib.suppress(HostError):
            found += [int(pid) for pid in run_tool(["ip", "netns", "pids", namespace]).split()]
    return found


def sent_bytes(namespace: str, device: str) -> int:
    """Return what a device has sent so far, in bytes, headers included. Raises `HostError`."""
    answer = run_tool(["ip", "-n", namespace, "-json", "-statistics", "link", "show", device])
    return int(json.loads(answer)[0]["stats64"]["tx"]["bytes"])


def run_tool(argv: list[str]) -> str:
    """Run ip(8) or tc(8) and return what it prints. HostError if it fails."""
    try:
        result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{argv[0]} cannot be run: {error}", hint="install iproute2") from error
    if result.returncode != 0:
        raise HostError(f"{' '.join(argv)} failed: {result.stderr.strip()}")
    return result.stdout
