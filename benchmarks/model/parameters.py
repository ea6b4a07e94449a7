"""What a simulated start is made of: numbers, each with where it was measured or why it is assumed.

Bytes are compressed, as they travel. Read from `laboratory.yaml`; `site.yaml` says what is
different in a data centre.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any, Final, Literal

import yaml

Kind = Literal["measured", "derived", "assumed"]
_FILES: Final = {"laboratory": ("laboratory",), "site": ("laboratory", "site")}


@dataclass(frozen=True, slots=True)
class Image:
    """A container image, and what its start reads of it."""

    bytes: float
    requests: float
    """Of a full pull."""
    unpack_rate: float
    """Compressed bytes a second that a pull unpacks."""
    unpack_last: float
    """Share of the image that is unpacked after its last byte came."""
    resolve_rounds: float
    """Answers that a pull waits for before anything flows."""
    create: float
    """Seconds to make a container and start its first process."""
    work: float
    """Seconds that the program starts for with all of its image on the disk."""
    lazy_bytes: float
    lazy_requests: float
    lazy_work: float
    """Seconds that it starts for, read lazily over a link without a limit and a delay."""
    lazy_rounds: float
    """Answers that it waits for, one after the other."""
    lazy_exposed: float
    """Share of what it reads that comes while it can do nothing else."""
    hot_bytes: float
    hot_requests: float
    hot_work: float
    """Seconds that it starts for when its hot blocks are there before it asks."""


@dataclass(frozen=True, slots=True)
class Environment:
    """An install step."""

    wheels: float
    """Bytes from the package index."""
    requests: float
    install: float
    """Seconds that the installer works."""
    install_spread: float
    """Standard deviation of the logarithm of that, over nodes."""
    touched: float
    """Bytes of the snapshot that a start reads."""
    mount: float
    """Seconds until the snapshot is mounted."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a node reads to resume."""

    bytes: float
    block: float
    """Bytes that a plain file has on one DataNode before it goes on on another."""
    calls: float
    """Calls to the NameNode for each node."""
    step: float
    """Seconds from the model to the first step."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the job."""

    gpus: float
    rate: float
    """Bytes a second of its link."""
    delay: float
    """Seconds that an answer takes to begin."""
    spread: float
    """Standard deviation of the logarithm of how long work takes, over nodes."""
    slow_share: float
    """Share of nodes whose link is slow."""
    slow_factor: float
    """How many times slower."""
    cores_shared: float
    """Processors that all nodes share, in a laboratory on one machine; 0: each has its own."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Where images and packages come from."""

    rate: float
    """Bytes a second of its link, which all nodes share."""
    requests: float
    """Requests a second that it answers."""
    mirror_rate: float
    """Bytes a second of a caching mirror."""
    mirror_nodes: float
    """Nodes for each mirror."""
    peer_share: float
    """Share of its link that a node gives to others."""
    peer_piece: float
    """Bytes that a peer has to have before it can pass them on."""


@dataclass(frozen=True, slots=True)
class Hdfs:
    """Where checkpoints are."""

    data_nodes: float
    rate: float
    """Bytes a second of a DataNode's link."""
    data_share: float
    """Share of it that is data, when many read."""
    stream: float
    """Share of it that one reader of a plain file gets."""
    striped: float
    """Share of the sum of links of its DataNodes that one reader of a striped file gets."""
    stripes: float
    name_node: float
    """Calls a second."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of them."""

    image: Image
    environment: Environment
    checkpoint: Checkpoint
    node: Node
    registry: Registry
    hdfs: Hdfs


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a number is from."""

    name: str
    value: float
    unit: str
    kind: Kind
    source: str


def parameters(name: str) -> Parameters:
    """Return the parameters of `laboratory` or `site`. Raises `ValueError`."""
    values = {origin.name: origin.value for origin in origins(name)}
    parts: dict[str, Any] = {}
    for part in fields(Parameters):
        kind: Any = part.type
        names = {field.name: f"{part.name}.{field.name}" for field in fields(kind)}
        if missing := [path for path in names.values() if path not in values]:
            raise ValueError(f"{name}: there is no {', '.join(missing)}")
        parts[part.name] = kind(**{key: values.pop(path) for key, path in names.items()})
    if values:
        raise ValueError(f"{name}: nothing is called {', '.join(sorted(values))}")
    return Parameters(**parts)


def origins(name: str, *, whole: bool = True) -> list[Origin]:
    """Return where each number is from; not `whole`: only those that are this place's own.

    Raises `ValueError` where that is not said.
    """
    found: dict[str, Origin] = {}
    for file in _FILES[name] if whole else (name,):
        text = files(__package__).joinpath(f"{file}.yaml").read_text(encoding="utf-8")
        found |= {origin.name: origin for origin in _read(yaml.safe_load(text))}
    return list(found.values())


def _read(document: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Origin]:
    for part, numbers in document.items():
        for key, said in numbers.items():
            name = f"{part}.{key}"
            kinds = [kind for kind in ("measured", "derived", "assumed") if kind in said]
            if len(kinds) != 1:
                raise ValueError(f"{name}: say one of measured, derived, assumed")
            kind: Any = kinds[0]
            yield Origin(name, float(said["value"]), said.get("unit", ""), kind, said[kind])
