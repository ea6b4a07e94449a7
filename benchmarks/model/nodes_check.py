"""The model against starts of several nodes on one machine, from what one node took there.

`scripts/bench startup` measures one node and several, in the same ways. Of one node's start the
model takes the bytes that it fetched and the seconds that it took; what is left of those is work.
Several nodes then share the processors of the machine, the link to registry and package index, the
DataNodes' links: how long that takes is predicted, and compared with what was measured. A mirror
asks the registry once for all of them. Of a plain file all read the same block at the same time,
from the one DataNode that has it; of a striped one from all of them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import simpy

from benchmarks.model.check import Check
from benchmarks.model.fluid import Fluid
from benchmarks.model.supply import Process
from benchmarks.start.ways import WAYS, Checkpoint

_CORES: Final = "cores"
_UPLINK: Final = "uplink"
_DATA_NODES: Final = "DataNodes"
_MEGABIT: Final = 1e6 / 8
_NO_LIMIT: Final = 10_000.0
"""Megabits a second, between namespaces of one machine."""


def node_checks(results: Path, *, cores: float, data_share: float) -> Iterator[Check]:
    """Yield a comparison for each way that was measured with one node and with several."""
    documents = [_document(file) for file in sorted(results.glob("startup*.json"))]
    alone = [one for one in documents if one.get("conditions", {}).get("nodes") == 1]
    for several in documents:
        conditions = several.get("conditions", {})
        one = next((one for one in alone if _alike(one) == _alike(several)), None)
        if one is None or conditions["nodes"] < 2:
            continue
        for name, way in several["ways"].items():
            if name in one["ways"]:
                rooms = [
                    Room.of(place, cores, data_share, plain=_is_plain(name))
                    for place in (one["conditions"], conditions)
                ]
                needs, nodes = share_of(one["ways"][name], rooms[0]), conditions["nodes"]
                yield Check(
                    f"startup, ({name}), {_described(conditions)}",
                    way["seconds"]["median"],
                    predicted(needs, rooms[1], nodes, mirror=conditions.get("mirror", False)),
                    "predicted",
                )


@dataclass(frozen=True, slots=True)
class Room:
    """What nodes have to themselves, and what they share. Bytes a second."""

    cores: float
    link: float
    """Each node's."""
    uplink: float
    """To registry and package index."""
    storage: float
    """To the DataNodes that are read from at a time."""

    @classmethod
    def of(
        cls, conditions: Mapping[str, Any], cores: float, data_share: float, *, plain: bool
    ) -> Self:
        """Return what a benchmark had; `data_share` of a link's bits are data."""
        read_from = 1 if plain else conditions["data_nodes"]
        return cls(
            cores,
            _rate(conditions.get("rate")) * data_share,
            _rate(conditions.get("uplink")) * data_share,
            _rate(conditions.get("data_rate")) * read_from * data_share,
        )


@dataclass(frozen=True, slots=True)
class Share:
    """What one node needs for its start: bytes, and seconds of a processor."""

    registry: float
    index: float
    checkpoint: float
    work: float


def share_of(way: Mapping[str, Any], room: Room) -> Share:
    """Return what a node needed in a way of a benchmark that it had to itself."""
    registry = float(way["registry_bytes"])
    index = max(float(way["uplink_bytes"]) - registry, 0.0)
    checkpoint = max(float(way["node_bytes"]) - registry - index, 0.0)
    fetched = (registry + index) / min(room.link, room.uplink)
    read = checkpoint / min(room.link, room.storage)
    work = max(float(way["seconds"]["median"]) - fetched - read, 0.0)
    return Share(registry, index, checkpoint, work)


def predicted(share: Share, room: Room, nodes: int, *, mirror: bool = False) -> float:
    """Return the seconds of a start of several nodes, from what each of them needs."""
    env = simpy.Environment()
    fluid = Fluid(env)
    capacities = ((_CORES, room.cores), (_UPLINK, room.uplink), (_DATA_NODES, room.storage))
    for name, capacity in capacities:
        fluid.set_capacity(name, capacity)
    of_registry = 1.0 / nodes if mirror else 1.0

    def node() -> Process:
        yield fluid.transfer(share.registry, ((_UPLINK, of_registry),), room.link)
        yield fluid.transfer(share.index, ((_UPLINK, 1.0),), room.link)
        yield fluid.transfer(share.work, ((_CORES, 1.0),), 1.0)
        yield fluid.transfer(share.checkpoint, ((_DATA_NODES, 1.0),), room.link)

    env.run(simpy.AllOf(env, [env.process(node()) for _ in range(nodes)]))
    return float(env.now)


def _document(file: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _alike(document: Mapping[str, Any]) -> list[Any]:
    conditions = document.get("conditions", {})
    return [conditions.get(key) for key in ("job", "rate", "data_rate", "data_nodes")]


def _is_plain(way: str) -> bool:
    return way in WAYS and WAYS[way].checkpoint is Checkpoint.PLAIN


def _described(conditions: Mapping[str, Any]) -> str:
    uplink = f", uplink {conditions['uplink']:g} Mbit/s" if conditions.get("uplink") else ""
    return f"{conditions['nodes']} nodes{uplink}{', a mirror' if conditions.get('mirror') else ''}"


def _rate(megabits: float | None) -> float:
    """Return bytes a second; none or 0 is no limit."""
    return (megabits or _NO_LIMIT) * _MEGABIT
