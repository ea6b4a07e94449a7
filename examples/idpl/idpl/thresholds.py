"""Instance-level dynamic pseudo labels: for every picture and class a threshold of its own.

Two things are known of a class. *Globally*, over the target set: how sure the network has been of
it lately (`value`), and what its pixels look like to the classifier (`profile`, the mean class
probabilities of its pixels). *Locally*, in this picture: how sure it is of the surest part of the
class's pixels here, and the same kind of profile.

How well both profiles match says how typical this picture's instance of the class is. The threshold
is a mean of the global and the local one, in which the local one weighs the more the better they
match: a typical instance may speak for itself, an odd one (a class seen in the wrong place) may
not. The global value then moves toward what was seen. So the threshold of a class whose pixels
all stay below (starved) falls, and that of a class whose pixels all pass (flooded) rises.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from idpl.classes import IGNORE
from idpl.config import ThresholdConfig


@dataclass(frozen=True, slots=True)
class Instances:
    """What a picture [C, H, W of probabilities] says of each class; per class [C] unless said."""

    present: torch.Tensor
    sure: torch.Tensor
    """The local threshold: above it is the part of the class's pixels that should be kept."""
    confidence: torch.Tensor
    """Mean of the class's pixels."""
    profile: torch.Tensor
    """Mean probabilities of the class's pixels [C, C]."""


def instances(probabilities: torch.Tensor, portions: torch.Tensor) -> Instances:
    """Look at one picture; `portions` [C] is the part of a class's pixels to keep."""
    classes = probabilities.shape[0]
    confidence, predicted = probabilities.flatten(1).max(0)
    flat = probabilities.flatten(1).t()
    member = functional.one_hot(predicted, classes).to(flat.dtype)
    counts = member.sum(0)
    shared = counts.clamp(min=1)
    return Instances(
        present=counts > 0,
        sure=_quantiles(confidence, predicted, counts, portions),
        confidence=(member * confidence[:, None]).sum(0) / shared,
        profile=(member.t() @ flat) / shared[:, None],
    )


def _quantiles(
    confidence: torch.Tensor, predicted: torch.Tensor, counts: torch.Tensor, portions: torch.Tensor
) -> torch.Tensor:
    """Return for each class the confidence that its `portion` of surest pixels has at least."""
    found = torch.zeros_like(portions)
    for number, count in enumerate(counts.long().tolist()):
        if count:
            ordered = confidence[predicted == number].sort(descending=True).values
            place = min(int(float(portions[number]) * count), count - 1)
            found[number] = ordered[place]
    return found


def matching(profile: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return how alike local and global profiles are, class by class: 0 to 1."""
    return functional.cosine_similarity(profile, known, dim=1).clamp(0, 1)


def fused(known: torch.Tensor, local: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    """Return the thresholds; at a perfect match the global and the local one weigh the same."""
    weight = match / 2
    return known * (1 - weight) + local * weight


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Labels [B, H, W] with `IGNORE` where the network is not sure enough, and why."""

    labels: torch.Tensor
    thresholds: torch.Tensor
    """The thresholds of each picture [B, C]."""


def label_above(probabilities: torch.Tensor, thresholds: torch.Tensor) -> PseudoLabels:
    """Label the pixels of pictures [B, C, H, W] whose class is above its threshold [B, C]."""
    confidence, predicted = probabilities.max(1)
    needed = thresholds.gather(1, predicted.flatten(1)).reshape(predicted.shape)
    labels = predicted.masked_fill(confidence < needed, IGNORE)
    return PseudoLabels(labels, thresholds)


class DynamicThresholds(nn.Module):
    """The global side: `value` [C] and `profile` [C, C], saved with the training's state."""

    value: torch.Tensor
    profile: torch.Tensor
    seen: torch.Tensor

    def __init__(self, classes: int, config: ThresholdConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("value", torch.full((classes,), config.ceiling))
        self.register_buffer("profile", torch.eye(classes))
        self.register_buffer("seen", torch.zeros(classes))

    def portions(self) -> torch.Tensor:
        """Return the part of each class's pixels to keep: less of one that is mostly unsure."""
        return self.config.portion * self.value**self.config.hardness

    def look(self, probabilities: torch.Tensor) -> list[Instances]:
        """Look at pictures [B, C, H, W]."""
        portions = self.portions()
        return [instances(picture, portions) for picture in probabilities]

    def thresholds(self, looked: list[Instances]) -> torch.Tensor:
        """Return the thresholds of pictures [B, C]."""
        if not self.config.local:
            return self.value.expand(len(looked), -1)
        rows = [
            torch.where(
                one.present,
                fused(self.value, one.sure, matching(one.profile, self.profile)),
                self.value,
            )
            for one in looked
        ]
        return torch.stack(rows).clamp(self.config.floor, self.config.ceiling)

    def sums(self, looked: list[Instances]) -> torch.Tensor:
        """Return what several processes add up before `move` [C, 2 + C]."""
        rows = [
            torch.cat(
                [
                    one.present[:, None].to(one.sure.dtype),
                    (one.sure * one.present)[:, None],
                    one.profile * one.present[:, None],
                ],
                dim=1,
            )
            for one in looked
        ]
        return torch.stack(rows).sum(0)

    def move(self, sums: torch.Tensor) -> None:
        """Move toward what was seen; classes that were not seen stay as they are."""
        counts = sums[:, 0]
        there = counts > 0
        shared = counts.clamp(min=1)
        # The first look at a class is taken as it is: the start value is nobody's opinion.
        keep = torch.where(self.seen > 0, self.config.memory, 0.0)
        sure = keep * self.value + (1 - keep) * sums[:, 1] / shared
        sure = sure.clamp(self.config.floor, self.config.ceiling)
        profile = keep[:, None] * self.profile + (1 - keep[:, None]) * sums[:, 2:] / shared[:, None]
        self.value.copy_(torch.where(there, sure, self.value))
        self.profile.copy_(torch.where(there[:, None], profile, self.profile))
        self.seen.add_(counts)
