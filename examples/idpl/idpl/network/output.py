"""What every segmentation network gives."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Output:
    """Scores [B, C, H, W] at the picture's size, features [B, D, h, w] at the network's own."""

    scores: torch.Tensor
    features: torch.Tensor
