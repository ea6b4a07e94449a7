"""Half precision where a GPU makes it worth it; plain arithmetic on a processor."""

import contextlib
from typing import Any

import torch


def make_scaler(device: str) -> Any:
    """Return what scales losses, or None on a processor."""
    if device != "cuda":
        return None
    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler("cuda")
    return torch.cuda.amp.GradScaler()  # before PyTorch 2.3


def autocast(device: str) -> contextlib.AbstractContextManager[object]:
    """Return the context in which the network runs."""
    if device != "cuda":
        return contextlib.nullcontext()
    found: contextlib.AbstractContextManager[object] = torch.autocast("cuda", torch.float16)
    return found
