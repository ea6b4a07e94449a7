"""Multi-head self-attention over the classes of a picture, drawn to those with high entropy."""

import math

import torch
from torch import nn


class ClassAttention(nn.Module):
    """Lets each class's feature take from the others: a rider from the road it is on.

    A learned factor, at least 0, times the entropy of a class's region is added to the scores of
    that class as a key: uncertain classes are attended to more. Absent classes get no attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide features of {width}")
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.pull = nn.Parameter(torch.tensor(2.0))

    def forward(
        self, values: torch.Tensor, present: torch.Tensor, entropy: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features [B, C, D] and attention [B, heads, C as query, C as key]."""
        batch, classes, width = values.shape
        split = (batch, classes, 3, self.heads, width // self.heads)
        query, key, value = self.project(self.norm(values)).reshape(split).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        if entropy is not None:
            scores = scores + self.pull.clamp(min=0) * entropy[:, None, None, :]
        # A large number in place of infinity: a picture without any class must not become NaN.
        scores = scores.masked_fill(~present[:, None, None, :], -1e4)
        attention = scores.softmax(-1)
        taken = (attention @ value).transpose(1, 2).reshape(batch, classes, width)
        return values + self.out(taken), attention
