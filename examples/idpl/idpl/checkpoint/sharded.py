"""Every process writes a part, by torch.distributed.checkpoint; any number of them reads it.

The tensors are alike in all processes. PyTorch's planner deals them out, so that each is written
once and every process writes about the same; reading, each takes what it needs from any file.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from idpl.errors import CheckpointError

KIND: Final = "sharded"

try:
    from torch.distributed import checkpoint as dcp
except ImportError:
    dcp = None  # before PyTorch 2


def available() -> bool:
    """Return whether this PyTorch can write and read shards (2.2 and newer)."""
    return dcp is not None and hasattr(dcp, "save")


def write(directory: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write this process's part; all processes call this together."""
    dcp.save(dict(tensors), checkpoint_id=str(directory))


def read(directory: Path) -> dict[str, torch.Tensor]:
    """Return all the tensors; called by all processes together. Raises `CheckpointError`."""
    if not available():
        raise CheckpointError(
            f"{directory}: written in shards, which PyTorch {torch.__version__} cannot read",
            hint="PyTorch 2.2 or newer is needed",
        )
    reader = dcp.FileSystemReader(str(directory))
    entries = reader.read_metadata().state_dict_metadata
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in entries.items()
    }
    with warnings.catch_warnings():
        # One process alone may read what many wrote; PyTorch finds that worth a warning.
        warnings.simplefilter("ignore", UserWarning)
        dcp.load(tensors, checkpoint_id=str(directory))
    return tensors
