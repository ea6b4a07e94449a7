"""How common the classes are in the source, and what weight that gives them in its loss."""

from collections.abc import Sequence

import torch

from idpl.data.pictures import Pictures

_LOOKED_AT = 500  # labels; more say nothing new, and large sets are slow to read


def frequencies(pictures: Pictures, classes: int) -> torch.Tensor:
    """Return the part of the labelled pixels that each class has [C]. May raise `DataError`."""
    counts = torch.zeros(classes, dtype=torch.float64)
    for index in range(min(len(pictures), _LOOKED_AT)):
        label = torch.from_numpy(pictures[index].label).flatten().long()
        counts += torch.bincount(label[label < classes], minlength=classes)
    return counts / counts.sum().clamp(min=1)


def weights(found: torch.Tensor, power: float) -> torch.Tensor:
    """Return the weights of the classes: frequency ** -power, 1 in the mean over the pixels.

    A class that never appears has the weight of the rarest that does.
    """
    present = found > 0
    if not bool(present.any()):
        return torch.ones_like(found).float()
    rarest = found[present].min()
    raw = torch.where(present, found, rarest) ** -power
    return (raw / (raw * found).sum()).float()


def never_seen(found: torch.Tensor, names: Sequence[str]) -> list[str]:
    """Return the names of the classes that do not appear."""
    return [name for name, part in zip(names, found.tolist(), strict=True) if part == 0]
