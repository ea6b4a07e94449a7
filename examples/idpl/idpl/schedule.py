"""The learning rate and the strength of the adversary over time."""

import math


def poly(step: int, steps: int, power: float) -> float:
    """Return the part of the learning rate that step `step` of `steps` has: 1 down to 0."""
    return float(max(1 - step / steps, 0.0) ** power)


def rising(progress: float, steepness: float = 10.0) -> float:
    """Return the strength of reversed gradients, from 0 to nearly 1 as `progress` goes 0 to 1.

    So that discriminators know something before the network listens to them (as in DANN).
    """
    return 2 / (1 + math.exp(-steepness * progress)) - 1
