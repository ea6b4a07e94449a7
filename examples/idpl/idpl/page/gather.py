"""What the page shows, computed from a run's last checkpoint. No HTML here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from idpl.accuracy import Accuracy, evaluate
from idpl.checkpoint.snapshot import Snapshot
from idpl.classes import IGNORE, ClassSet
from idpl.config import Config
from idpl.data.batches import plain_batch
from idpl.data.pictures import Pictures
from idpl.methods.build import build_method
from idpl.methods.idpl import Idpl
from idpl.network.build import build_network
from idpl.thresholds import label_above
from idpl.training.metrics import NAME as METRICS
from idpl.training.metrics import read_metrics
from idpl.training.sets import Sets
from idpl.training.state import load_tensors
from idpl.training.step import probabilities

Map = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Case:
    """One picture to evaluate on. `before` is None where no earlier network is known."""

    name: str
    picture: NDArray[np.uint8]
    truth: Map
    before: Map | None
    after: Map


@dataclass(frozen=True, slots=True)
class Judged:
    """One target picture: its pseudo labels, its thresholds by class, how difficult it is."""

    name: str
    picture: NDArray[np.uint8]
    labels: Map
    thresholds: Mapping[str, float]
    """Of the classes that are in the picture."""
    difficulty: float | None
    easy: bool | None


@dataclass(frozen=True, slots=True)
class Story:
    """All of the page."""

    method: str
    step: int
    classes: ClassSet
    before: Accuracy | None
    after: Accuracy
    cases: tuple[Case, ...]
    judged: tuple[Judged, ...]
    curves: Mapping[str, tuple[tuple[int, float], ...]]
    """Thresholds over time, by the name of the class."""
    losses: Mapping[str, tuple[tuple[int, float], ...]]


def gather(
    run: Path, snapshot: Snapshot, before: Snapshot | None, config: Config, sets: Sets, count: int
) -> Story:
    """Return the story of a run; `count` is how many pictures of each kind it shows."""
    torch.manual_seed(config.seed)
    network = build_network(config.network, len(sets.classes))
    method = build_method(config, len(sets.classes), int(network.feature_width), len(sets.target))
    load_tensors(method, snapshot.part("method"), "method")
    network.eval()
    earlier = None
    shown = range(min(count, len(sets.evaluation)))
    maps_before = None
    if before is not None:
        load_tensors(network, before.part("teacher"), "teacher")
        earlier = evaluate(network, sets.evaluation, sets.classes, "cpu")
        maps_before = _predicted(network, sets.evaluation, shown)
    load_tensors(network, snapshot.part("teacher"), "teacher")
    maps_after = _predicted(network, sets.evaluation, shown)
    metrics = list(read_metrics(run / METRICS))
    return Story(
        method=config.method.name,
        step=snapshot.step,
        classes=sets.classes,
        before=earlier,
        after=evaluate(network, sets.evaluation, sets.classes, "cpu"),
        cases=tuple(
            Case(
                sets.evaluation.name(index),
                sets.evaluation[index].picture,
                sets.evaluation[index].label,
                None if maps_before is None else maps_before[index],
                maps_after[index],
            )
            for index in shown
        ),
        judged=tuple(_judged(method, network, sets, count)) if isinstance(method, Idpl) else (),
        curves={
            name: _series(metrics, f"threshold/{number}")
            for number, name in enumerate(sets.classes.names)
        },
        losses={name: _series(metrics, name) for name in ("source", "pseudo", "adversarial")},
    )


def _predicted(network: torch.nn.Module, pictures: Pictures, shown: range) -> list[Map]:
    seen = plain_batch(pictures, shown).pictures
    found: torch.Tensor = probabilities(network, seen).argmax(1)
    return [np.asarray(one.numpy(), dtype=np.uint8) for one in found]


def _series(metrics: list[dict[str, float]], key: str) -> tuple[tuple[int, float], ...]:
    return tuple((int(line["step"]), float(line[key])) for line in metrics if key in line)


def _judged(method: Idpl, network: torch.nn.Module, sets: Sets, count: int) -> list[Judged]:
    """Return the easiest and the most difficult target pictures, alternating."""
    scores = method.subdomains.scores
    easy = method.subdomains.easy()
    order = torch.argsort(scores, stable=True).tolist()
    half = max(1, count // 2)
    chosen = [*order[:half], *order[-half:]]
    found = probabilities(network, plain_batch(sets.target, chosen).pictures)
    thresholds = method.judge.thresholds
    looked = thresholds.look(found)
    # As the method labels, but without moving the thresholds.
    values = (
        thresholds.thresholds(looked)
        if method.labeller is method.judge
        else method.labeller.value.expand(len(chosen), -1)
    )
    labels = label_above(found, values).labels
    judged = []
    for place, index in enumerate(chosen):
        present = looked[place].present.tolist()
        judged.append(
            Judged(
                name=sets.target.name(index),
                picture=sets.target[index].picture,
                labels=np.asarray(labels[place].numpy(), dtype=np.uint8),
                thresholds={
                    name: float(values[place, number])
                    for number, name in enumerate(sets.classes.names)
                    if present[number]
                },
                difficulty=float(scores[index]),
                easy=easy[index],
            )
        )
    return judged


def labelled_part(labels: Map) -> float:
    """Return which part of a picture has a pseudo label."""
    return float((labels != IGNORE).mean())
