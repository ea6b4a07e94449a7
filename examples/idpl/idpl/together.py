"""Several processes that train as one: what they must agree on, and nothing else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
import torch.distributed as dist

from idpl.data.batches import Share

_ALONE: Final = Share()


@dataclass(frozen=True, slots=True)
class Together:
    """All processes of the training; alone, every question is answered at once."""

    share: Share = _ALONE

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.share.rank == 0

    def summed(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum of every process's tensor."""
        if self.share.world == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def means(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the means of every process's values; all have the same names.

        What is no number in one process is none in all: they agree to stop.
        """
        total = self.summed(torch.tensor(list(values.values()), dtype=torch.float64))
        return dict(zip(values, (total / self.share.world).tolist(), strict=True))

    def average_gradients(self, parameters: list[torch.Tensor]) -> None:
        """Give every process the mean of all gradients."""
        if self.share.world == 1:
            return
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        flat = torch.cat(
            [
                (torch.zeros_like(one) if one.grad is None else one.grad).reshape(-1)
                for one in wanted
            ]
        )
        dist.all_reduce(flat)
        flat /= self.share.world
        parts = flat.split([one.numel() for one in wanted])
        for one, part in zip(wanted, parts, strict=True):
            one.grad = part.reshape(one.shape).clone()

    def wait(self) -> None:
        """Wait until all are here."""
        if self.share.world > 1:
            dist.barrier()

    def leave(self) -> None:
        """Part: nothing may be asked of the others any more."""
        if self.share.world > 1:
            dist.destroy_process_group()


def join(device: str) -> Together:
    """Return the processes that torchrun started, or this one alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Together()
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return Together(Share(dist.get_rank(), world))
