"""Events of starts that never were, with as many nodes and stages as one likes."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bootseer.events.event import Event, Origin, Phase

STAGES = (
    "allocate",
    "image.layer",
    "image.prefetch",
    "image.start",
    "container.create",
    "deps.key",
    "deps.find",
    "deps.restore",
    "imports",
    "rendezvous",
    "nccl_init",
    "data.open",
    "data.index",
    "model_init",
    "model_shard",
    "optimizer",
    "checkpoint.open",
    "checkpoint.load",
    "compile",
    "first_step",
)
"""Twenty, one after the other."""
SHARED = "rendezvous"
"""The one that all nodes leave together."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is made."""

    nodes: int
    stages: int = len(STAGES)
    job: str = "train"
    attempt: int = 0
    skew_ns: int = 0
    """How far clocks are off at most, either way."""
    slow: float = 1.0
    """How much longer the last node takes for everything."""
    seed: int = 1
    start_ns: int = 1_760_000_000_000_000_000


def made_events(made: Made) -> Iterator[Event]:
    """Yield the events of one start, node by node."""
    chance, clocks = random.Random(made.seed), random.Random(made.seed)
    typical = [chance.uniform(0.2, 20.0) for _ in range(made.stages)]
    meeting = sum(typical[: STAGES.index(SHARED)]) * 1.3 * made.slow
    for node in range(made.nodes):
        origin = Origin(made.job, made.attempt, f"node{node:04}")
        offset = clocks.randint(-made.skew_ns, made.skew_ns)
        pace = made.slow if node == made.nodes - 1 else 1.0
        at = 0.0
        for number, stage in enumerate(STAGES[: made.stages]):
            length = pace * typical[number] * chance.lognormvariate(0.0, 0.15)
            end = meeting if stage == SHARED else at + length
            attributes = {"shared": True} if stage == SHARED else {}
            for phase, moment in ((Phase.BEGIN, at), (Phase.END, end)):
                passed = round(moment * 1e9)
                time = made.start_ns + passed
                yield Event(
                    origin, stage, phase, time + offset, passed + node, f"{node}", attributes
                )
            at = end
