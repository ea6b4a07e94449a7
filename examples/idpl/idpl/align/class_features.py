"""One feature a class and picture, gathered where the pseudo labels say the class is."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from idpl.align.entropy import entropy

_FEWEST = 2.0  # pixels of the features' resolution without which a class is not there


@dataclass(frozen=True, slots=True)
class ClassFeatures:
    """Features [B, C, D]; `present` and mean `entropy` of the classes' regions [B, C]."""

    values: torch.Tensor
    present: torch.Tensor
    entropy: torch.Tensor


def membership(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return how much each pixel belongs to each class [B, C, H, W].

    All to its class where it has a pseudo label; elsewhere by its probabilities.
    """
    classes = probabilities.shape[1]
    labelled = labels < classes
    chosen = functional.one_hot(labels.masked_fill(~labelled, 0), classes).permute(0, 3, 1, 2)
    return torch.where(labelled[:, None], chosen.to(probabilities.dtype), probabilities)


def gather(
    features: torch.Tensor,
    probabilities: torch.Tensor,
    labels: torch.Tensor,
    *,
    entropy_weights: bool,
) -> ClassFeatures:
    """Gather features [B, D, h, w] by probabilities and pseudo labels at any resolution.

    With `entropy_weights` a pixel counts the more the less sure the network is of it.
    """
    size = features.shape[2:]
    belongs = functional.adaptive_avg_pool2d(membership(probabilities, labels), size)
    unsure = functional.adaptive_avg_pool2d(entropy(probabilities)[:, None], size)
    weights = belongs * (1 + unsure) if entropy_weights else belongs
    total = weights.sum(dim=(2, 3)).clamp(min=1e-6)
    values = torch.einsum("bchw,bdhw->bcd", weights, features) / total[..., None]
    amount = belongs.sum(dim=(2, 3))
    mean_entropy = (belongs * unsure).sum(dim=(2, 3)) / amount.clamp(min=1e-6)
    return ClassFeatures(values, amount >= _FEWEST, mean_entropy)
