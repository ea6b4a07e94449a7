"""What the training asks of a method."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from idpl.data.batches import SourceBatch, TargetBatch, target_indexes
from idpl.network.output import Output
from idpl.together import Together

Probabilities: TypeAlias = torch.Tensor


@dataclass(frozen=True, slots=True)
class View:
    """What a method sees of one step.

    `progress` runs from 0 to 1 over the adaptation. `flip` mirrors those maps of the plain target
    pictures whose changed pictures are mirrored. Scores and probabilities are at picture size.
    """

    source: SourceBatch
    source_output: Output
    target: TargetBatch
    student: Callable[[torch.Tensor], Output]
    teacher: Callable[[torch.Tensor], Probabilities]
    progress: float
    together: Together

    def flip(self, maps: torch.Tensor) -> torch.Tensor:
        """Mirror maps [B, ..., W] as the student's pictures are."""
        shape = (-1, *(1 for _ in maps.shape[1:]))
        return torch.where(self.target.flips.to(maps.device).view(shape), maps.flip(-1), maps)


Survey = Callable[[], Iterator[tuple[list[int], Probabilities]]]
"""Gives the teacher's probabilities of this process's part of all target pictures, by batches."""


class Method(nn.Module):
    """A method; what it trains are parameters, what it remembers are buffers: all is saved."""

    uses_target = True

    def __init__(self, *, count: int, batch: int, seed: int, rescore_every: int = 0) -> None:
        super().__init__()
        self.count, self.batch, self.seed = count, batch, seed
        self._rescore_every = rescore_every

    def target_indexes(self, step: int) -> list[int]:
        """Return which target pictures a step sees, of all processes together."""
        return target_indexes(self.count, self.batch, self.seed, step)

    def wants_survey(self, adapted: int) -> bool:
        """Return whether to look at the whole target before the step `adapted` of adaptation."""
        return self._rescore_every > 0 and adapted % self._rescore_every == 0

    def survey(self, seen: Survey, together: Together) -> None:
        """Look at the whole target."""

    def losses(self, view: View) -> dict[str, torch.Tensor]:
        """Return the losses of a step besides the source's, by name, each with its weight in it."""
        raise NotImplementedError

    def curve(self) -> dict[str, float]:
        """Return numbers worth a curve over time."""
        return {}
