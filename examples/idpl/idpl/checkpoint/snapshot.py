"""What a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

FORMAT = 1
"""Raised when an older version could not read what this one writes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The training after `step` steps: every tensor by its name, and the configuration.

    There is no state of random numbers or of the data's order: both are functions of the
    configuration's seed and the step, so that any number of processes can go on.
    """

    step: int
    config: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors below `prefix/`, without it."""
        start = f"{prefix}/"
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }
