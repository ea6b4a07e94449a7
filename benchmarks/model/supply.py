"""Where nodes get blobs from: the registry itself, caching mirrors, each other.

All three fetch from the registry over one link, and each request takes its share of what the
registry can answer. What a mirror or peers bring cannot be there before it left the registry once.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, Literal

import simpy

from benchmarks.model.fluid import Fluid, Uses
from benchmarks.model.parameters import Registry

Supply = Literal["registry", "mirrors", "peers"]
SUPPLIES: Final[tuple[Supply, ...]] = ("registry", "mirrors", "peers")
Process = Generator[simpy.Event, Any, None]
LINK: Final = "registry: link"
ANSWERS: Final = "registry: answers"
_PEERS: Final = "peers"


@dataclass(frozen=True, slots=True)
class Blob:
    """Something that all nodes fetch."""

    name: str
    bytes: float
    requests: float

    @property
    def from_registry(self) -> Uses:
        """What one byte of it takes of the registry."""
        return ((LINK, 1.0), (ANSWERS, self.requests / self.bytes if self.bytes else 0.0))


class Source:
    """The registry, and what stands before it."""

    def __init__(
        self, env: simpy.Environment, fluid: Fluid, registry: Registry, supply: Supply
    ) -> None:
        self._env = env
        self._fluid = fluid
        self._registry = registry
        self._supply = supply
        self._copies: dict[tuple[str, str], simpy.Event] = {}
        self._peers = 0
        self._given = 0.0
        fluid.set_capacity(LINK, registry.rate)
        fluid.set_capacity(ANSWERS, registry.requests)

    def fetch(self, blob: Blob, number: int, rate: float) -> Process:
        """Bring a blob to the node of this number, over its link of this rate."""
        match self._supply:
            case "registry":
                yield self._fluid.transfer(blob.bytes, blob.from_registry, rate)
            case "mirrors":
                yield from self._from_mirror(blob, number, rate)
            case "peers":
                yield from self._from_peers(blob, rate)

    def _from_mirror(self, blob: Blob, number: int, rate: float) -> Process:
        mirror = f"mirror {number // int(self._registry.mirror_nodes)}"
        self._fluid.set_capacity(mirror, self._registry.mirror_rate)
        copied = self._copy(blob, mirror, self._registry.mirror_rate)
        yield self._fluid.transfer(blob.bytes, ((mirror, 1.0),), rate) & copied

    def _from_peers(self, blob: Blob, rate: float) -> Process:
        """Fetch what peers have: each gives a share of its link from when it takes part."""
        copied = self._copy(blob, _PEERS, rate)
        self._peers += 1
        given = self._registry.peer_share * rate
        self._given += given
        # The first has nobody to ask but the registry, which its copy is limited by.
        self._fluid.set_capacity(_PEERS, self._given + rate)
        yield self._fluid.transfer(blob.bytes, ((_PEERS, 1.0),), rate) & copied
        hops = math.ceil(math.log2(self._peers)) if self._peers > 1 else 0
        piece = min(self._registry.peer_piece, blob.bytes)
        yield self._env.timeout(hops * piece / given)

    def _copy(self, blob: Blob, to: str, rate: float) -> simpy.Event:
        """Fetch a blob from the registry for a mirror or the peers, once."""
        key = (to, blob.name)
        if key not in self._copies:
            self._copies[key] = self._fluid.transfer(blob.bytes, blob.from_registry, rate)
        return self._copies[key]
