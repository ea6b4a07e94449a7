"""The model against starts of several nodes on one machine, from what one node took there.

`scripts/bench startup` measures one node and several, in the same ways. Of one node's start the
model takes the bytes that it fetched and the seconds that it took; what is left of those is work.
Several nodes then share the processors of the machine, the link to the registry, the DataNodes'
links: how long that takes is predicted, and compared with what was measured. What a node fetched
from elsewhere than the registry counts as the DataNodes', packages from an index too.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import simpy

from benchmarks.model.check import Check
from benchmarks.model.fluid import Fluid
from benchmarks.model.supply import Process

_CORES: Final = "cores"
_UPLINK: Final = "uplink"
_DATA_NODES: Final = "DataNodes"
_MEGABIT: Final = 1e6 / 8
_NO_LIMIT: Final = 10_000.0
"""Megabits a second, between namespaces of one machine."""


def node_checks(results: Path, *, cores: float, data_share: float) -> Iterator[Check]:
    """Yield a comparison for each way that was measured with one node and with several."""
    one = _document(results / "startup.json")
    for file in sorted(results.glob("startup-*.json")):
        several = _document(file)
        nodes = several.get("conditions", {}).get("nodes", 0)
        if one.get("conditions", {}).get("nodes") != 1 or nodes < 2:
            continue
        if _alike(one) != _alike(several) or several["conditions"].get("mirror"):
            continue
        for name, way in several["ways"].items():
            if name in one["ways"]:
                model = predicted(one["ways"][name], several["conditions"], cores, data_share)
                what = f"startup, ({name}), {nodes} nodes"
                yield Check(what, way["seconds"]["median"], model, "predicted")


def predicted(
    way: Mapping[str, Any], conditions: Mapping[str, Any], cores: float, data_share: float
) -> float:
    """Return the seconds of a start of several nodes, from what one node took in this way."""
    link = _rate(conditions.get("rate")) * data_share
    uplink = _rate(conditions.get("uplink")) * data_share
    storage = _rate(conditions.get("data_rate")) * conditions["data_nodes"] * data_share
    registry = float(way["registry_bytes"])
    checkpoint = max(float(way["node_bytes"]) - registry, 0.0)
    alone = registry / min(link, uplink) + checkpoint / min(link, storage)
    work = max(float(way["seconds"]["median"]) - alone, 0.0)
    env = simpy.Environment()
    fluid = Fluid(env)
    for name, capacity in ((_CORES, cores), (_UPLINK, uplink), (_DATA_NODES, storage)):
        fluid.set_capacity(name, capacity)

    def node() -> Process:
        yield fluid.transfer(registry, ((_UPLINK, 1.0),), link)
        yield fluid.transfer(work, ((_CORES, 1.0),), 1.0)
        yield fluid.transfer(checkpoint, ((_DATA_NODES, 1.0),), link)

    env.run(simpy.AllOf(env, [env.process(node()) for _ in range(conditions["nodes"])]))
    return float(env.now)


def _document(file: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _alike(document: Mapping[str, Any]) -> list[Any]:
    conditions = document.get("conditions", {})
    return [conditions.get(key) for key in ("job", "rate", "data_rate", "data_nodes")]


def _rate(megabits: float | None) -> float:
    """Return bytes a second; none or 0 is no limit."""
    return (megabits or _NO_LIMIT) * _MEGABIT
