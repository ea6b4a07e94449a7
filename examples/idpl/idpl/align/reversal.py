"""Gradient reversal: what helps the discriminator hurts the network, in one backward pass."""

from typing import Any

import torch


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: torch.Tensor, strength: float) -> torch.Tensor:
        context.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -context.strength * gradient, None


def reversed_gradient(values: torch.Tensor, strength: float) -> torch.Tensor:
    """Return the same values; gradients through them come back negated, times `strength`."""
    found: torch.Tensor = _Reversal.apply(values, strength)
    return found
