"""The subdomain classifier: which target pictures are easy, which difficult, as things stand now.

An *instance* is a class in a picture. It is difficult where its surest pixels are less sure than
the class's are over the whole target (`DynamicThresholds.value`). A picture is as difficult as the
part of its instances that is. Pictures are split at a quantile of their difficulties, so that both
subdomains always have members, and move as the training does.
"""

import torch
from torch import nn

from idpl.thresholds import Instances


def difficulty(picture: Instances, known: torch.Tensor) -> float:
    """Return the part of difficult instances among a picture's classes, 0 to 1."""
    if not bool(picture.present.any()):
        return 1.0
    short = (known - picture.sure)[picture.present]
    part = (short > 0).double().mean()
    # Many pictures have the same part; among these the depth decides, too small to do more.
    return float((part + 1e-3 * short.double().mean()).clamp(0, 1))


def split(scores: torch.Tensor, easy_part: float) -> list[bool]:
    """Return for each picture whether it is easy; equal scores are split by their number."""
    order = torch.argsort(scores, stable=True)
    easy = [False] * len(scores)
    for index in order[: max(1, round(easy_part * len(scores)))].tolist():
        easy[index] = True
    return easy


class Subdomains(nn.Module):
    """The difficulty of every target picture, saved with the training's state."""

    scores: torch.Tensor

    def __init__(self, count: int, easy_part: float) -> None:
        super().__init__()
        self.easy_part = easy_part
        self.register_buffer("scores", torch.full((count,), 0.5, dtype=torch.float64))

    def put(self, scores: torch.Tensor) -> None:
        """Take new scores of all pictures."""
        self.scores.copy_(scores)

    def easy(self) -> list[bool]:
        """Return which pictures are easy now."""
        return split(self.scores, self.easy_part)
