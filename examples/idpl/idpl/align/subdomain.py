"""Subdomain adversarial learning: difficult pictures' classes are made to look like easy ones'."""

import torch
from torch import nn
from torch.nn import functional

from idpl.align.attention import ClassAttention
from idpl.align.class_features import ClassFeatures, gather
from idpl.align.discriminators import ClassDiscriminators
from idpl.align.reversal import reversed_gradient


class SubdomainAlignment(nn.Module):
    """Attention over class features, then a discriminator for each class.

    Only what comes from difficult pictures is changed: easy ones are what they should be like.
    """

    def __init__(
        self, classes: int, width: int, heads: int, *, attention: bool, entropy_weights: bool
    ) -> None:
        super().__init__()
        self.entropy_weights = entropy_weights
        self.attention = ClassAttention(width, heads) if attention else None
        self.discriminators = ClassDiscriminators(classes, width)

    def forward(
        self,
        features: torch.Tensor,
        probabilities: torch.Tensor,
        labels: torch.Tensor,
        easy: torch.Tensor,
        strength: float,
    ) -> torch.Tensor:
        """Return the discriminators' loss; its gradient reaches `features` reversed.

        `easy` [B] says of which subdomain a picture is.
        """
        turned = reversed_gradient(features, strength)
        seen = torch.where(easy[:, None, None, None], features.detach(), turned)
        found = gather(seen, probabilities, labels, entropy_weights=self.entropy_weights)
        values = found.values
        if self.attention is not None:
            unsure = found.entropy if self.entropy_weights else None
            values, _ = self.attention(values, found.present, unsure)
        logits = self.discriminators(values)
        truth = easy[:, None].to(logits.dtype).expand_as(logits)
        losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        weights = class_weights(found, entropy_weights=self.entropy_weights)
        return (losses * weights).sum() / weights.sum().clamp(min=1e-6)


def class_weights(found: ClassFeatures, *, entropy_weights: bool) -> torch.Tensor:
    """Return how much each class of each picture counts [B, C]: the more, the less sure."""
    weights = found.present.to(found.values.dtype)
    return (
        weights * (1 + found.entropy / found.entropy.mean().clamp(min=1e-6)) / 2
        if (entropy_weights)
        else weights
    )
