"""One start of a job, simulated: stages of every node, what was shared, when the last was done."""

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import simpy

from benchmarks.model.fluid import Fluid, Uses
from benchmarks.model.parameters import Parameters
from benchmarks.model.storage import Storage
from benchmarks.model.supply import ANSWERS, LINK, Blob, Process, Source, Supply

STAGES: Final = ("image", "environment", "model", "first step")
_CORES: Final = "cores of the machine"


@dataclass(frozen=True, slots=True)
class Way:
    """How nodes start."""

    image: Literal["pull", "lazy", "hot"]
    environment: Literal["install", "mount"]
    checkpoint: Literal["plain", "striped"]


FULL: Final = Way("pull", "install", "plain")
LAZY: Final = Way("lazy", "install", "plain")
OURS: Final = Way("hot", "mount", "striped")


@dataclass(frozen=True, slots=True)
class Started:
    """How a start went. Seconds since all nodes began."""

    nodes: Sequence[Mapping[str, float]]
    """For each node, how long each stage took."""
    registry_bytes: float
    registry_requests: float

    @property
    def totals(self) -> list[float]:
        """When each node was done."""
        return [sum(node.values()) for node in self.nodes]

    @property
    def seconds(self) -> float:
        """When the last node was done: a job's first step waits for all."""
        return max(self.totals)

    @property
    def straggler(self) -> float:
        """The slowest node's time by the median node's."""
        return self.seconds / statistics.median(self.totals)

    def median(self, stage: str) -> float:
        """Return what a stage took on the median node."""
        return statistics.median(node[stage] for node in self.nodes)


@dataclass(frozen=True, slots=True)
class _Machine:
    """A node, with what chance made of it."""

    number: int
    rate: float
    """Bytes a second of its link."""
    pace: float
    """How many times longer work takes."""
    install_pace: float


@dataclass(slots=True)
class _Site:
    """What nodes share."""

    env: simpy.Environment
    fluid: Fluid
    source: Source
    storage: Storage
    parameters: Parameters
    way: Way
    work_uses: Uses = ()
    took: list[dict[str, float]] = field(default_factory=list)


def simulate(
    parameters: Parameters, way: Way, nodes: int, supply: Supply = "registry", seed: int = 1
) -> Started:
    """Start `nodes` nodes at the same moment. The same arguments give the same result."""
    env, chance = simpy.Environment(), random.Random(seed)
    fluid = Fluid(env)
    source = Source(env, fluid, parameters.registry, supply)
    storage = Storage(fluid, parameters.hdfs, random.Random(seed + 1))
    site = _Site(env, fluid, source, storage, parameters, way)
    if parameters.node.cores_shared:
        fluid.set_capacity(_CORES, parameters.node.cores_shared)
        site.work_uses = ((_CORES, 1.0),)
    machines = [_machine(parameters, number, chance) for number in range(nodes)]
    env.run(simpy.AllOf(env, [env.process(_node(site, machine)) for machine in machines]))
    return Started(site.took, fluid.taken(LINK), fluid.taken(ANSWERS))


def _machine(parameters: Parameters, number: int, chance: random.Random) -> _Machine:
    node = parameters.node
    slow = chance.random() < node.slow_share
    return _Machine(
        number,
        node.rate / (node.slow_factor if slow else 1.0),
        math.exp(chance.gauss(0.0, node.spread)),
        math.exp(chance.gauss(0.0, parameters.environment.install_spread)),
    )


def _node(site: _Site, machine: _Machine) -> Process:
    took: dict[str, float] = {}
    site.took.append(took)
    stages = (_image, _environment, _model, _first_step)
    for name, stage in zip(STAGES, stages, strict=True):
        begun = site.env.now
        yield from stage(site, machine)
        took[name] = site.env.now - begun


def _work(site: _Site, seconds: float, pace: float) -> simpy.Event:
    """Keep one core of the node busy."""
    return site.fluid.transfer(seconds * pace, site.work_uses, 1.0)


def _wait(site: _Site, rounds: float) -> simpy.Event:
    return site.env.timeout(rounds * site.parameters.node.delay)


def _image(site: _Site, machine: _Machine) -> Process:
    yield _wait(site, site.parameters.image.resolve_rounds)
    match site.way.image:
        case "pull":
            yield from _pull(site, machine)
        case "lazy":
            yield from _read_lazily(site, machine)
        case "hot":
            yield from _read_hot(site, machine)


def _pull(site: _Site, machine: _Machine) -> Process:
    """Download and unpack at the same time, then unpack the last layer; start from the disk."""
    image = site.parameters.image
    unpack = image.bytes / image.unpack_rate
    blob = Blob("image", image.bytes, image.requests)
    fetched = site.env.process(site.source.fetch(blob, machine.number, machine.rate))
    yield fetched & _work(site, unpack * (1 - image.unpack_last), machine.pace)
    yield _work(site, unpack * image.unpack_last, machine.pace)
    yield _work(site, image.create + image.work, machine.pace)


def _read_lazily(site: _Site, machine: _Machine) -> Process:
    """Most of what is read comes while the program works or waits for answers; it waits for the
    rest.
    """
    image = site.parameters.image
    yield _work(site, image.create, machine.pace)
    beside, alone = 1 - image.lazy_exposed, image.lazy_exposed
    read = [
        Blob(f"touched {n}", image.lazy_bytes * share, image.lazy_requests * share)
        for n, share in enumerate((beside, alone))
    ]
    first = site.env.process(site.source.fetch(read[0], machine.number, machine.rate))
    yield first & site.env.process(_lazy_work(site, machine))
    yield from site.source.fetch(read[1], machine.number, machine.rate)


def _lazy_work(site: _Site, machine: _Machine) -> Process:
    image = site.parameters.image
    yield _work(site, image.lazy_work, machine.pace)
    yield _wait(site, image.lazy_rounds)


def _read_hot(site: _Site, machine: _Machine) -> Process:
    """The pack comes while the container is made and starts."""
    image = site.parameters.image
    blob = Blob("pack", image.hot_bytes, image.hot_requests)
    fetched = site.env.process(site.source.fetch(blob, machine.number, machine.rate))
    yield fetched & _work(site, image.create + image.hot_work, machine.pace)


def _environment(site: _Site, machine: _Machine) -> Process:
    step = site.parameters.environment
    if site.way.environment == "mount":
        yield _work(site, step.mount, machine.pace)
        yield site.storage.read_bytes(step.touched, machine.rate)
        return
    blob = Blob("wheels", step.wheels, step.requests)
    yield from site.source.fetch(blob, machine.number, machine.rate)
    yield _work(site, step.install, machine.pace * machine.install_pace)


def _model(site: _Site, machine: _Machine) -> Process:
    checkpoint = site.parameters.checkpoint
    striped = site.way.checkpoint == "striped"
    read = site.storage.read_striped if striped else site.storage.read_plain
    yield from read(checkpoint, machine.rate)


def _first_step(site: _Site, machine: _Machine) -> Process:
    yield _work(site, site.parameters.checkpoint.step, machine.pace)
