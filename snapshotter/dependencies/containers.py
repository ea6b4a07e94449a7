"""Which container a process is in, and what its pod's annotations let it have.

A process is in the container whose cgroup it is in: the kernel says which, and a process can leave
it only with rights that it could do anything with. The uppermost cgroup that is named like a
container is it: what a container makes below its own says nothing.

Race-free: it keeps no state.
"""

import re
from typing import Final, NamedTuple

from bootseer.errors import NotFoundError
from snapshotter.containers.lookup import ContainerLookup
from snapshotter.dependencies.grants import NODE, Grant, granted
from snapshotter.dependencies.peers import Peer, RefusedError

_CRI: Final = "k8s.io"
_SCOPE: Final = re.compile(r"(?:[A-Za-z0-9_.:-]*[-:])?([0-9a-f]{64})(?:\.scope)?")
"""A container of the CRI, as both drivers of cgroups name it."""
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class ContainerId(NamedTuple):
    """A container, as containerd names it."""

    namespace: str
    name: str


def container_of(cgroups: str) -> ContainerId | None:
    """Return the container that `/proc/PID/cgroup` says; None if none, or several. Pure."""
    found = {
        one
        for line in cgroups.splitlines()
        if (one := _named(line.split(":", 2)[-1].strip("/").split("/")))
    }
    return found.pop() if len(found) == 1 else None


def _named(parts: list[str]) -> ContainerId | None:
    """Return the container that a cgroup's path names."""
    for part in parts:
        if match := _SCOPE.fullmatch(part):
            return ContainerId(_CRI, match[1])
    if len(parts) > 1 and all(map(_WORD.fullmatch, parts[:2])):
        return ContainerId(parts[0], parts[1])
    return None


class ContainerGrants:
    """What containers may have."""

    def __init__(self, lookup: ContainerLookup | None) -> None:
        """`lookup`: at containerd; without it nobody may have anything."""
        self._lookup = lookup

    async def of(self, peer: Peer) -> Grant:
        """Return what a peer may have.

        Raises:
            RefusedError: it is in no container that containerd knows.
            RemoteError: containerd does not say.
        """
        container = container_of(peer.groups)
        if container is None or self._lookup is None:
            raise RefusedError("who asks is in no container that containerd could be asked for")
        try:
            annotations = await self._lookup.annotations(*container)
        except NotFoundError as error:
            raise RefusedError(error.message) from error
        return granted(f"{container.namespace}/{container.name}", annotations)


async def node_grant(_peer: Peer) -> Grant:
    """Return what root on the node may have, who alone may connect to the daemon's own socket."""
    return NODE
