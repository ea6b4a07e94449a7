"""One step of the training."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from idpl.config import Config
from idpl.data.batches import (
    Share,
    SourceBatch,
    TargetBatch,
    plain_batch,
    source_batch,
    source_indexes,
    target_batch,
)
from idpl.errors import DivergedError
from idpl.methods.method import Probabilities, View
from idpl.methods.self_training import label_loss
from idpl.network.output import Output
from idpl.teacher import follow
from idpl.together import Together
from idpl.training.precision import autocast
from idpl.training.sets import Sets
from idpl.training.state import State, set_rates

_DROPOUT = 11  # the stream of random numbers that torch's generator is seeded from


def train_step(state: State, config: Config, sets: Sets, together: Together) -> dict[str, float]:
    """Do one step; return its losses by name and the learning rate.

    Raises `DivergedError`, the state unchanged but for what a method remembers, where a loss is no
    number in any of the processes; `DataError` where a picture cannot be read.
    """
    training, step = config.training, state.step
    torch.manual_seed(_torch_seed(config.seed, step, together.share.rank))
    adapted = step - training.warmup
    adapts = adapted >= 0 and state.method.uses_target
    if adapts and state.method.wants_survey(adapted):
        survey(state, config, sets, together)
    rate = set_rates(state.optimizer, training, step)
    device = torch.device(training.device)
    state.optimizer.zero_grad(set_to_none=True)
    with autocast(training.device):
        source = _source(config, sets, step, together.share, device)
        output = state.network(source.pictures)
        losses = {"source": label_loss(output.scores.float(), source.labels, state.class_weights)}
        if adapts:
            target = _target(state, config, sets, together.share, device)
            losses |= state.method.losses(_view(state, source, output, target, config, together))
    total = torch.stack(list(losses.values())).sum()
    values = together.means({name: float(loss.detach()) for name, loss in losses.items()})
    _must_be_numbers(values, step)
    _descend(state, total, config, together)
    follow(state.teacher, state.network, training.ema if step else 0.0)
    state.step += 1
    return values | {"rate": rate}


def survey(state: State, config: Config, sets: Sets, together: Together) -> None:
    """Let the method look at the whole target as the teacher sees it."""
    device = torch.device(config.training.device)
    own = together.share.of(range(len(sets.target)))
    batch = config.training.batch * 2

    def seen() -> Iterator[tuple[list[int], Probabilities]]:
        for first in range(0, len(own), batch):
            indexes = own[first : first + batch]
            pictures = plain_batch(sets.target, indexes).pictures.to(device)
            yield indexes, probabilities(state.teacher, pictures)

    with torch.no_grad():
        state.method.survey(seen, together)


def probabilities(network: nn.Module, pictures: torch.Tensor) -> Probabilities:
    """Return the class probabilities of pictures, without gradients."""
    with torch.no_grad():
        found: torch.Tensor = network(pictures).scores.float().softmax(1)
    return found


def _torch_seed(seed: int, step: int, rank: int) -> int:
    sequence = np.random.SeedSequence((seed, _DROPOUT, step, rank))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _source(
    config: Config, sets: Sets, step: int, share: Share, device: torch.device
) -> SourceBatch:
    indexes = source_indexes(len(sets.source), config.training.batch, config.seed, step)
    batch = source_batch(sets.source, share.of(indexes), config.seed, step)
    return SourceBatch(batch.pictures.to(device), batch.labels.to(device))


def _target(
    state: State, config: Config, sets: Sets, share: Share, device: torch.device
) -> TargetBatch:
    indexes = share.of(state.method.target_indexes(state.step))
    batch = target_batch(sets.target, indexes, config.seed, state.step)
    return TargetBatch(
        batch.indexes, batch.plain.to(device), batch.changed.to(device), batch.flips.to(device)
    )


def _view(
    state: State,
    source: SourceBatch,
    output: Output,
    target: TargetBatch,
    config: Config,
    together: Together,
) -> View:
    training = config.training
    adapting = max(training.steps - training.warmup, 1)
    return View(
        source=source,
        source_output=output,
        target=target,
        student=state.network,
        teacher=lambda pictures: probabilities(state.teacher, pictures),
        progress=(state.step - training.warmup) / adapting,
        together=together,
    )


def _must_be_numbers(values: dict[str, float], step: int) -> None:
    bad = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise DivergedError(
            f"step {step}: loss is no number: {', '.join(bad)}",
            hint="the last checkpoint is whole; try a lower training.learning_rate",
        )


def _descend(state: State, total: torch.Tensor, config: Config, together: Together) -> None:
    scaler: Any = state.scaler
    (total if scaler is None else scaler.scale(total)).backward()
    parameters = [parameter for _, parameter in state.trained()]
    together.average_gradients(parameters)
    if scaler is not None:
        scaler.unscale_(state.optimizer)
    nn.utils.clip_grad_norm_(parameters, config.training.clip)
    if scaler is None:
        state.optimizer.step()
    else:
        scaler.step(state.optimizer)
        scaler.update()
