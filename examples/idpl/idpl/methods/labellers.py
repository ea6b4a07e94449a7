"""Who decides which pixels get a pseudo label: three ways."""

import torch
from torch import nn

from idpl.config import ThresholdConfig
from idpl.methods.method import Survey
from idpl.thresholds import DynamicThresholds, Instances, PseudoLabels, label_above
from idpl.together import Together

_BINS = 200


class Labeller(nn.Module):
    """Labels pictures by a threshold for each class, the same for every picture; it stays."""

    value: torch.Tensor

    def __init__(self, classes: int, threshold: float) -> None:
        super().__init__()
        self.register_buffer("value", torch.full((classes,), threshold))

    def label(self, probabilities: torch.Tensor, together: Together) -> PseudoLabels:
        """Label pictures [B, C, H, W]."""
        return label_above(probabilities, self.value.expand(len(probabilities), -1))

    def survey(self, seen: Survey, together: Together) -> None:
        """Look at the whole target."""


class ClassBalanced(Labeller):
    """As CBST: of each class the same, growing portion of its pixels in the whole target.

    The portion grows by 5 % a survey, from 20 % to 50 %.
    """

    surveys: torch.Tensor

    def __init__(self, classes: int) -> None:
        super().__init__(classes, 1.0)
        self.register_buffer("surveys", torch.zeros(()))

    def survey(self, seen: Survey, together: Together) -> None:
        """Set the thresholds anew."""
        counts = torch.zeros(len(self.value), _BINS)
        for _, probabilities in seen():
            counts += _histograms(probabilities)
        portion = min(0.2 + 0.05 * float(self.surveys), 0.5)
        self.value.copy_(surest_part(together.summed(counts), portion).to(self.value.device))
        self.surveys.add_(1)


def _histograms(probabilities: torch.Tensor) -> torch.Tensor:
    classes = probabilities.shape[1]
    confidence, predicted = probabilities.max(1)
    bins = (confidence * _BINS).long().clamp(max=_BINS - 1)
    flat = (predicted * _BINS + bins).flatten().cpu()
    return torch.bincount(flat, minlength=classes * _BINS).reshape(classes, _BINS).float()


def surest_part(histograms: torch.Tensor, portion: float) -> torch.Tensor:
    """Return for each class the confidence above which `portion` of its pixels is, at least.

    `histograms` [C, bins] count confidences from 0 to 1; a class without pixels gets 1.
    """
    above = histograms.flip(1).cumsum(1)
    wanted = portion * histograms.sum(1, keepdim=True)
    needed = (above < wanted).sum(1) + 1
    values = 1 - needed.double() / histograms.shape[1]
    return torch.where(histograms.sum(1) > 0, values, torch.ones_like(values)).float()


class Dynamic(Labeller):
    """By the dynamic thresholds, which move with every batch."""

    def __init__(self, classes: int, config: ThresholdConfig) -> None:
        super().__init__(classes, config.ceiling)
        self.thresholds = DynamicThresholds(classes, config)

    def label(self, probabilities: torch.Tensor, together: Together) -> PseudoLabels:
        """Label pictures by their thresholds, then move these."""
        looked = self.thresholds.look(probabilities)
        labels = label_above(probabilities, self.thresholds.thresholds(looked))
        self.thresholds.move(together.summed(self.thresholds.sums(looked)))
        self.value.copy_(self.thresholds.value)
        return labels

    def look(self, probabilities: torch.Tensor) -> list[Instances]:
        """Look at pictures without moving anything."""
        return self.thresholds.look(probabilities)
