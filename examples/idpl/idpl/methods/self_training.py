"""Self-training: the student learns, on changed pictures, what the teacher sees in plain ones."""

import torch
from torch.nn import functional

from idpl.classes import IGNORE
from idpl.methods.labellers import Labeller
from idpl.methods.method import Method, Survey, View
from idpl.together import Together


def label_loss(
    scores: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the cross entropy over all pixels, of which those without label count as 0.

    Over all: a picture with few labels must not weigh as much as one with many. `weights` [C] say
    how much a pixel of a class counts.
    """
    losses = functional.cross_entropy(
        scores, labels, weight=weights, ignore_index=IGNORE, reduction="sum"
    )
    return losses / labels.numel()


class SelfTraining(Method):
    """Pseudo labels by a labeller, nothing else."""

    def __init__(
        self,
        labeller: Labeller,
        weight: float,
        *,
        count: int,
        batch: int,
        seed: int,
        rescore_every: int,
    ) -> None:
        super().__init__(count=count, batch=batch, seed=seed, rescore_every=rescore_every)
        self.labeller, self.weight = labeller, weight

    def survey(self, seen: Survey, together: Together) -> None:
        """Let the labeller look at the whole target."""
        self.labeller.survey(seen, together)

    def losses(self, view: View) -> dict[str, torch.Tensor]:
        """Return the loss on pseudo labels."""
        labels = self.labeller.label(view.teacher(view.target.plain), view.together).labels
        output = view.student(view.target.changed)
        loss = label_loss(output.scores, view.flip(labels))
        return {"pseudo": self.weight * loss}
