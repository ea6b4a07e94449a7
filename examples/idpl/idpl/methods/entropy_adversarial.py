"""As ADVENT: target predictions shall look as sure as source predictions.

Gradient reversal in place of ADVENT's alternating updates: one backward pass for both players.
"""

import torch
from torch.nn import functional

from idpl.align.discriminators import MapDiscriminator
from idpl.align.entropy import self_information
from idpl.align.reversal import reversed_gradient
from idpl.methods.method import Method, View
from idpl.schedule import rising


def told_apart(
    discriminator: MapDiscriminator,
    model: torch.Tensor,
    other: torch.Tensor,
    strength: float,
) -> torch.Tensor:
    """Return the loss of telling `model`'s maps from `other`'s; only `other` is to change."""
    maps = reversed_gradient(self_information(other.softmax(1)), strength)
    ours = discriminator(self_information(model.detach().softmax(1)))
    theirs = discriminator(maps)
    loss = functional.binary_cross_entropy_with_logits
    return (loss(ours, torch.ones_like(ours)) + loss(theirs, torch.zeros_like(theirs))) / 2


class EntropyAdversarial(Method):
    """Aligns maps of self-information between source and target."""

    def __init__(self, classes: int, weight: float, *, count: int, batch: int, seed: int) -> None:
        super().__init__(count=count, batch=batch, seed=seed)
        self.weight = weight
        self.discriminator = MapDiscriminator(classes)

    def losses(self, view: View) -> dict[str, torch.Tensor]:
        """Return the adversarial loss."""
        target = view.student(view.target.changed).scores
        source = view.source_output.scores
        strength = self.weight * rising(view.progress)
        return {"adversarial": told_apart(self.discriminator, source, target, strength)}
