"""Entropy of predictions: where the network does not know."""

import math

import torch


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the entropy [B, H, W] of [B, C, H, W], from 0 (sure) to 1 (all classes alike)."""
    return self_information(probabilities).sum(1)


def self_information(probabilities: torch.Tensor) -> torch.Tensor:
    """Return each class's part of the entropy [B, C, H, W], as ADVENT's discriminators see it."""
    logarithm = torch.log(probabilities.clamp(min=1e-8))
    return -probabilities * logarithm / math.log(probabilities.shape[1])
