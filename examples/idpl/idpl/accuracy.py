"""Intersection over union, for each class and in the mean."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from idpl.classes import ClassSet
from idpl.data.batches import plain_batch
from idpl.data.pictures import Pictures


@dataclass(frozen=True, slots=True)
class Accuracy:
    """IoU from 0 to 1 of each class; NaN for one that is in neither truth nor prediction."""

    classes: ClassSet
    by_class: tuple[float, ...]

    def mean(self) -> float:
        """Return the mean over the classes that are there; NaN where there are none."""
        return _mean(self.by_class)

    def hard_mean(self) -> float:
        """Return the mean over the hard classes that are there."""
        return _mean(tuple(self.by_class[number] for number in self.classes.hard_numbers()))

    def absent(self) -> tuple[str, ...]:
        """Return the classes that never appear."""
        pairs = zip(self.classes.names, self.by_class, strict=True)
        return tuple(name for name, iou in pairs if math.isnan(iou))


def _mean(values: tuple[float, ...]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return sum(present) / len(present) if present else math.nan


def confusion(predicted: torch.Tensor, label: torch.Tensor, classes: int) -> torch.Tensor:
    """Return how often [truth, prediction] came together; labels that are no class do not count."""
    counted = label < classes
    pairs = label[counted] * classes + predicted[counted]
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def accuracy(counts: torch.Tensor, classes: ClassSet) -> Accuracy:
    """Return the IoU that a confusion matrix says."""
    hits = counts.diagonal().double()
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    by_class = (hits / union.double()).tolist()  # 0 / 0 is NaN, as it should be
    return Accuracy(classes, tuple(by_class))


def evaluate(
    network: nn.Module, pictures: Pictures, classes: ClassSet, device: str, batch: int = 8
) -> Accuracy:
    """Return how well a network labels pictures. May raise `DataError`."""
    was_training = network.training
    network.eval()
    counts = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    with torch.no_grad():
        for first in range(0, len(pictures), batch):
            seen = plain_batch(pictures, range(first, min(first + batch, len(pictures))))
            predicted = network(seen.pictures.to(device)).scores.argmax(1).cpu()
            counts += confusion(predicted, seen.labels, len(classes))
    network.train(was_training)
    return accuracy(counts, classes)
