"""What starts were like, and what that says. Records and arithmetic."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.figures import Figure, median_ratio
from benchmarks.start.ways import BASELINE, OURS, WAYS
from bootseer.errors import CorruptError


@dataclass(frozen=True, slots=True)
class NodeStart:
    """One node's part of a start."""

    seconds: float
    """From nothing on the node to the end of the first step."""
    bytes: int
    """That came over its link, headers included."""
    losses: Mapping[str, float]
    """Of the first step after the checkpoint."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the job on all nodes."""

    way: str
    attempt: int
    nodes: tuple[NodeStart, ...]
    registry_bytes: int
    """That the registry has sent, by its own log."""
    uplink_bytes: int
    """That registry, package index and NameNode have sent over their link, headers included."""

    @property
    def seconds(self) -> float:
        """When the last node had ended its first step: the job waits for it."""
        return max(node.seconds for node in self.nodes)

    @property
    def straggler(self) -> float:
        """Slowest by median node."""
        return self.seconds / statistics.median(node.seconds for node in self.nodes)


def starts_document(starts: Sequence[Start]) -> list[dict[str, Any]]:
    """Return starts as JSON holds them."""
    return [asdict(start) for start in starts]


def starts_from(document: Sequence[Mapping[str, Any]]) -> list[Start]:
    """Return what `starts_document` was made of. CorruptError if it was not."""
    try:
        return [
            Start(
                one["way"],
                one["attempt"],
                tuple(NodeStart(**node) for node in one["nodes"]),
                one["registry_bytes"],
                one["uplink_bytes"],
            )
            for one in document
        ]
    except (KeyError, TypeError) as error:
        raise CorruptError(f"these are no starts: {error}") from error


def by_way(starts: Sequence[Start]) -> dict[str, list[Start]]:
    """Return the starts of each way, both in their usual order."""
    found: dict[str, list[Start]] = {}
    for name in dict.fromkeys([*WAYS, *(one.way for one in starts)]):
        own = sorted((one for one in starts if one.way == name), key=lambda one: one.attempt)
        if own:
            found[name] = own
    return found


def different_losses(starts: Sequence[Start]) -> list[str]:
    """Return a line for every node whose first step was not like the first start's first node's."""
    if not starts:
        return []
    wanted = starts[0].nodes[0].losses
    return [
        f"way {start.way}, run {start.attempt}, node {number}: {node.losses}, not {wanted}"
        for start in starts
        for number, node in enumerate(start.nodes)
        if node.losses != wanted
    ]


@dataclass(frozen=True, slots=True)
class Goals:
    """What was promised; None: nothing."""

    sooner: float | None = None
    """How many times sooner all of ours come to the first step than a full pull and pip."""
    straggler: float | None = None
    """Of all of ours."""
    alone: Start | None = None
    """A start of ours on one node, by whose bytes from the registry those of many are measured."""


_MORE_BYTES: Final = 1.1
_NOTICED_S: Final = 0.2


def figures(starts: Sequence[Start], goals: Goals) -> list[Figure]:
    """Return medians and spreads by way, and how much sooner ours come to the first step. Pure."""
    found = by_way(starts)
    made: list[Figure] = []
    for name, own in found.items():
        seconds = [one.seconds for one in own]
        title = _titled(name)
        made += [
            Figure(f"{title}: first step", statistics.median(seconds), "s"),
            Figure(f"{title}: least", min(seconds), "s"),
            Figure(f"{title}: most", max(seconds), "s"),
            Figure(f"{title}: over a node's link", _megabytes(own), "MB"),
        ]
        if len(own[0].nodes) > 1:
            goal = goals.straggler if name == OURS.name else None
            made.append(Figure(f"{title}: straggler", _straggler(own), "x", goal))
            made.append(Figure(f"{title}: from the registry", _from_registry(own) / 1e6, "MB"))
        if goals.alone and name == OURS.name:
            ratio = _from_registry(own) / goals.alone.registry_bytes
            title = f"{title}: from the registry / for one node"
            made.append(Figure(title, ratio, "x", _MORE_BYTES))
    for name, own in found.items():
        if name not in WAYS and OURS.name in found:  # with a fault
            ratio = _ratio(own, found[OURS.name])
            made.append(Figure(f"{name} / {OURS.name}, first step", ratio, "x"))
        elif BASELINE.name in found and name != BASELINE.name:
            ratio = _ratio(found[BASELINE.name], own)
            own_goal = goals.sooner if name == OURS.name else None
            title = f"{BASELINE.name} / {name}, first step"
            made.append(Figure(title, ratio, "x", own_goal, "higher"))
    others = float(len(different_losses(starts)))
    return [*made, Figure("starts with other losses", others, "", 0.0)]


def fault_costs(stages: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """Return by how much each stage is longer with a fault than without, where one notices it.

    `stages` are median seconds by way and stage. Pure.
    """
    usual = stages.get(OURS.name, {})
    return [
        Figure(f"{name}: {stage}, longer than {OURS.name}", took - usual.get(stage, 0.0), "s")
        for name, own in stages.items()
        if usual and name not in WAYS
        for stage, took in own.items()
        if took - usual.get(stage, 0.0) >= _NOTICED_S
    ]


def _titled(name: str) -> str:
    return f"{name} ({WAYS[name].title})" if name in WAYS else name


def _ratio(above: Sequence[Start], below: Sequence[Start]) -> float:
    """Return the median ratio over runs that were made in turn."""
    runs = min(len(above), len(below))
    return median_ratio(
        [one.seconds for one in above[:runs]], [one.seconds for one in below[:runs]]
    )


def _megabytes(starts: Sequence[Start]) -> float:
    return statistics.median(node.bytes for one in starts for node in one.nodes) / 1e6


def _from_registry(starts: Sequence[Start]) -> float:
    return statistics.median(one.registry_bytes for one in starts)


def _straggler(starts: Sequence[Start]) -> float:
    return statistics.median(one.straggler for one in starts)


def document(
    starts: Sequence[Start],
    stages: Mapping[str, Mapping[str, float]],
    made: Sequence[Figure],
) -> dict[str, Any]:
    """Return all of it for machines; `stages` are median seconds by way and stage. Pure."""
    ways = {
        name: {
            "title": WAYS[name].title if name in WAYS else name,
            "runs": len(own),
            "seconds": _spread([one.seconds for one in own]),
            "node_seconds": _spread([node.seconds for one in own for node in one.nodes]),
            "straggler": _straggler(own),
            "node_bytes": statistics.median(node.bytes for one in own for node in one.nodes),
            "registry_bytes": _from_registry(own),
            "uplink_bytes": statistics.median(one.uplink_bytes for one in own),
            "stages": dict(stages.get(name, {})),
        }
        for name, own in by_way(starts).items()
    }
    return {
        "ways": ways,
        "starts": starts_document(starts),
        "figures": [asdict(figure) for figure in made],
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
    }
