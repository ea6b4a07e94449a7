"""All tensors in one file of torch.save: what one process writes, and every PyTorch reads."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from idpl.errors import CheckpointError

KIND: Final = "file"
_NAME: Final = "tensors.pt"


def write(directory: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors into a directory."""
    torch.save({name: tensor.cpu() for name, tensor in tensors.items()}, directory / _NAME)


def read(directory: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a directory. Raises `CheckpointError`."""
    try:
        found: dict[str, torch.Tensor] = torch.load(
            directory / _NAME, map_location="cpu", weights_only=True
        )
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{directory}: {_NAME} cannot be read: {str(error).splitlines()[0]}",
            hint="use an earlier one",
        ) from error
    return found
