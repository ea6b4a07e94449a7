"""Changes to a picture that do not change what is in it; all chance comes from the generator."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Kind = TypeVar("_Kind", bound=np.generic)
Floats = NDArray[np.float32]


def normalised(picture: NDArray[np.uint8]) -> Floats:
    """Return a picture [H, W, 3] of bytes as [3, H, W] around 0."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1


def jittered(picture: Floats, random: np.random.Generator, strength: float) -> Floats:
    """Return a picture [3, H, W] in another light: gain, contrast, tint, saturation, noise."""
    gain = random.uniform(1 - 0.4 * strength, 1 + 0.3 * strength)
    tint = random.uniform(1 - 0.15 * strength, 1 + 0.15 * strength, (3, 1, 1))
    grey = picture.mean(axis=0, keepdims=True)
    saturation = random.uniform(1 - 0.7 * strength, 1 + 0.3 * strength)
    shift = random.uniform(-0.2, 0.2) * strength
    noise = random.normal(0, 0.08 * strength * random.uniform(), picture.shape)
    light = (grey + (picture - grey) * saturation + 1) * gain * tint - 1
    return np.asarray(np.clip(light + shift + noise, -1.5, 1.5), dtype=np.float32)


def flipped(array: NDArray[_Kind]) -> NDArray[_Kind]:
    """Return an array [..., W] mirrored left to right."""
    return np.ascontiguousarray(array[..., ::-1])
