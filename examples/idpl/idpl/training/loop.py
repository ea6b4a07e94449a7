"""A run from its beginning, or from its last checkpoint, to its end."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch

from idpl.accuracy import Accuracy, evaluate
from idpl.checkpoint import store
from idpl.config import Config, as_document
from idpl.frequencies import frequencies, weights
from idpl.methods.build import build_method
from idpl.network.build import build_network
from idpl.teacher import make_teacher
from idpl.together import Together
from idpl.training.metrics import Metrics
from idpl.training.precision import make_scaler
from idpl.training.progress import ProgressLine
from idpl.training.sets import Sets
from idpl.training.stages import Stage
from idpl.training.state import State, fork, make_optimizer, restore, to_snapshot
from idpl.training.step import train_step

CHECKPOINTS = "checkpoints"
RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run needs around it: who it works with, whom it tells, whence it forks."""

    together: Together
    progress: ProgressLine
    stage: Stage
    start: Path | None = None
    """A checkpoint of another run whose network this one goes on with."""
    until: int | None = None
    """Stop after so many steps, as a run that is interrupted there."""


def make_state(config: Config, sets: Sets) -> State:
    """Return the state before the first step, alike in every process."""
    torch.manual_seed(config.seed)
    network = build_network(config.network, len(sets.classes)).to(config.training.device)
    method = build_method(config, len(sets.classes), int(network.feature_width), len(sets.target))
    method.to(config.training.device)
    teacher = make_teacher(network)
    network.train()
    optimizer = make_optimizer(network, method, config.training)
    scaler = make_scaler(config.training.device)
    common = frequencies(sets.source, len(sets.classes))
    class_weights = weights(common, config.training.rare_power).to(config.training.device)
    return State(network, teacher, method, optimizer, scaler, class_weights)


def train(config: Config, sets: Sets, out: Path, around: Surroundings) -> Accuracy:
    """Train until the end, saving on the way; return how well the teacher does on the target.

    A run that was interrupted goes on from its last whole checkpoint in `out`. Raises
    `CheckpointError`, `DivergedError`, `DataError`.
    """
    with around.stage("model_init"):
        state = make_state(config, sets)
    with around.stage("checkpoint_load"):
        _begin(state, config, out / CHECKPOINTS, around)
    together = around.together
    if together.leads:
        out.mkdir(parents=True, exist_ok=True)
        with Metrics(out, state.step) as metrics:
            _steps(state, config, sets, out, around, metrics)
    else:
        _steps(state, config, sets, out, around, None)
    found = evaluate(state.teacher, sets.evaluation, sets.classes, config.training.device)
    if together.leads:
        _write_result(out / RESULT, state.step, found)
    return found


def _begin(state: State, config: Config, checkpoints: Path, around: Surroundings) -> None:
    say = around.progress.say
    snapshot = store.load_latest(checkpoints, say)
    if snapshot is not None:
        store.check_config(snapshot, as_document(config))
        restore(state, snapshot)
        say(f"resumed at step {state.step} of {config.training.steps}")
    elif around.start is not None:
        fork(state, store.load(around.start))


def _steps(
    state: State,
    config: Config,
    sets: Sets,
    out: Path,
    around: Surroundings,
    metrics: Metrics | None,
) -> None:
    training = config.training
    first = state.step
    end = training.steps if around.until is None else min(around.until, training.steps)
    while state.step < end:
        if state.step == first:
            with around.stage("first_step"):
                values = train_step(state, config, sets, around.together)
        else:
            values = train_step(state, config, sets, around.together)
        last = state.step == end
        if metrics is not None:
            note = " ".join(f"{name} {value:.4f}" for name, value in values.items())
            around.progress.show(config.method.name, state.step, training.steps, note)
            if last or state.step % training.log_every == 0:
                metrics.write(state.step, values | state.method.curve())
        if last or state.step % training.checkpoint_every == 0:
            snapshot = to_snapshot(state, as_document(config))
            store.save(out / CHECKPOINTS, snapshot, training.keep, around.together)


def _write_result(path: Path, step: int, found: Accuracy) -> None:
    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    pairs = zip(found.classes.names, found.by_class, strict=True)
    document = {
        "step": step,
        "mean": number(found.mean()),
        "hard": number(found.hard_mean()),
        "classes": {name: number(value) for name, value in pairs},
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
