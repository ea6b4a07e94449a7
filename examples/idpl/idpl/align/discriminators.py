"""Discriminators: one a class for features, one convolutional for entropy maps."""

import math

import torch
from torch import nn
from torch.nn import functional


class ClassDiscriminators(nn.Module):
    """For each class a small network of its own that tells easy from difficult."""

    def __init__(self, classes: int, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(classes, width, hidden) / math.sqrt(width))
        self.first_bias = nn.Parameter(torch.zeros(classes, hidden))
        self.second = nn.Parameter(torch.randn(classes, hidden) / math.sqrt(hidden))
        self.second_bias = nn.Parameter(torch.zeros(classes))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map class features [B, C, D] to logits [B, C]; above 0 means easy."""
        hidden = torch.einsum("bcd,cdk->bck", values, self.first) + self.first_bias
        active = functional.leaky_relu(hidden, 0.2)
        return torch.einsum("bck,ck->bc", active, self.second) + self.second_bias


class MapDiscriminator(nn.Module):
    """Tells from maps of self-information [B, C, H, W], place by place, where they come from."""

    def __init__(self, classes: int, width: int = 24) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(classes, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width * 2, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width * 2, 1, 3, 1, 1),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map [B, C, H, W] to logits [B, 1, H / 4, W / 4]."""
        found: torch.Tensor = self.body(maps)
        return found
