"""Everything that a step changes, and its way into a snapshot and back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from idpl.checkpoint.snapshot import Snapshot
from idpl.config import TrainingConfig
from idpl.errors import CheckpointError
from idpl.methods.method import Method
from idpl.schedule import poly


@dataclass(slots=True)
class State:
    """`step` counts the steps that are done."""

    network: nn.Module
    teacher: nn.Module
    method: Method
    optimizer: torch.optim.AdamW
    scaler: Any
    """Scales losses for half precision on a GPU; None on a processor."""
    class_weights: torch.Tensor
    """Of the source's loss [C]; it follows from the source, and is not saved."""
    step: int = 0

    def modules(self) -> tuple[tuple[str, nn.Module], ...]:
        """Return the parts that have tensors of their own."""
        return ("network", self.network), ("teacher", self.teacher), ("method", self.method)

    def trained(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield what the optimizer changes, by name."""
        for part, module in (("network", self.network), ("method", self.method)):
            for name, parameter in module.named_parameters():
                yield f"{part}/{name}", parameter


def make_optimizer(
    network: nn.Module, method: nn.Module, training: TrainingConfig
) -> torch.optim.AdamW:
    """Return the optimizer: the network's group first, then the method's if it trains anything."""
    groups = [{"params": list(network.parameters()), "lr": training.learning_rate}]
    if own := list(method.parameters()):
        groups.append({"params": own, "lr": training.method_learning_rate})
    return torch.optim.AdamW(
        groups,
        lr=training.learning_rate,
        betas=(training.momentum, 0.99),
        weight_decay=training.weight_decay,
    )


def set_rates(optimizer: torch.optim.AdamW, training: TrainingConfig, step: int) -> float:
    """Set the learning rates of a step; return the network's."""
    factor = poly(step, training.steps, training.power)
    rates = (training.learning_rate, training.method_learning_rate)
    for group, rate in zip(optimizer.param_groups, rates, strict=False):
        group["lr"] = rate * factor
    return training.learning_rate * factor


def to_snapshot(state: State, config: Mapping[str, Any]) -> Snapshot:
    """Return the state as it is; tensors are not copied."""
    tensors = {
        f"{part}/{name}": tensor
        for part, module in state.modules()
        for name, tensor in module.state_dict().items()
    }
    for name, parameter in state.trained():
        for key, value in state.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = value
    if state.scaler is not None:
        for name, value in state.scaler.state_dict().items():
            tensors[f"scaler/{name}"] = torch.tensor(float(value), dtype=torch.float64)
    return Snapshot(state.step, config, tensors)


def restore(state: State, snapshot: Snapshot) -> None:
    """Become what the snapshot was. Raises `CheckpointError` where its tensors do not fit."""
    for part, module in state.modules():
        load_tensors(module, snapshot.part(part), part)
    _restore_optimizer(state, snapshot)
    scales = snapshot.part("scaler")
    if state.scaler is not None and scales:
        values = {name: float(value) for name, value in scales.items()}
        known = state.scaler.state_dict()
        state.scaler.load_state_dict({name: type(known[name])(values[name]) for name in known})
    state.step = snapshot.step


def fork(state: State, snapshot: Snapshot) -> None:
    """Go on from another run's network, with this run's method as it was made.

    Raises `CheckpointError` where the networks differ.
    """
    for part, module in state.modules()[:2]:
        load_tensors(module, snapshot.part(part), part)
    _restore_optimizer(state, snapshot)
    state.step = snapshot.step


def _restore_optimizer(state: State, snapshot: Snapshot) -> None:
    kept = {key: snapshot.part(f"optimizer/{key}") for key in ("step", "exp_avg", "exp_avg_sq")}
    for name, parameter in state.trained():
        if name in kept["step"]:
            # The count of steps stays where the optimizer keeps it, on the processor.
            state.optimizer.state[parameter] = {
                key: tensors[name].to("cpu" if key == "step" else parameter.device).clone()
                for key, tensors in kept.items()
            }


def load_tensors(module: nn.Module, tensors: dict[str, torch.Tensor], part: str) -> None:
    """Put tensors into a module called `part`. Raises `CheckpointError` where they do not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the checkpoint's {part} does not fit: {reason}",
            hint="is it of another network or method?",
        ) from error
