"""What a scene is painted on: colour, class and distance of every ray, far things first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from idpl.scenes.camera import Camera, Floats

Colour = tuple[float, float, float]
"""Red, green, blue from 0 to 1."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the canvas with coordinates of its own.

    `u` runs from -1 (left) to 1 (right), `v` from 0 (bottom) to 1 (top).
    """

    rows: slice
    columns: slice
    u: Floats
    v: Floats


class Canvas:
    """Colour [H, W, 3], class [H, W] and distance [H, W], at `camera.samples` rays a pixel."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        shape = (camera.height * camera.samples, camera.width * camera.samples)
        self.colour = np.zeros((*shape, 3), dtype=np.float32)
        self.label = np.zeros(shape, dtype=np.uint8)
        self.distance = np.full(shape, np.inf, dtype=np.float32)
        self.columns, self.rows = camera.grid()

    def patch(self, left: float, top: float, right: float, bottom: float) -> Patch | None:
        """Return the part of a rectangle (output pixels) that is in the picture, if any."""
        samples = self.camera.samples
        height, width = self.label.shape
        first_row, last_row = _inside(top, bottom, samples, height)
        first_column, last_column = _inside(left, right, samples, width)
        if first_row >= last_row or first_column >= last_column:
            return None
        rows, columns = slice(first_row, last_row), slice(first_column, last_column)
        u = (self.columns[:, columns] - left) / max(right - left, 1e-6) * 2 - 1
        v = (bottom - self.rows[rows]) / max(bottom - top, 1e-6)
        return Patch(rows, columns, u.astype(np.float32), v.astype(np.float32))

    def fill(self, patch: Patch, mask: Mask, colour: Floats, label: int, distance: Floats) -> None:
        """Paint a surface where `mask` says; `colour` [H, W, 3] and `distance` are the patch's."""
        self.colour[patch.rows, patch.columns][mask] = colour[mask]
        self.label[patch.rows, patch.columns][mask] = label
        self.distance[patch.rows, patch.columns][mask] = distance[mask]

    def stamp(self, patch: Patch, mask: Mask, colour: Colour, label: int, distance: float) -> None:
        """Paint where `mask` (of the patch's shape, or one that broadcasts to it) says."""
        height = patch.rows.stop - patch.rows.start
        whole = np.broadcast_to(mask, (height, patch.columns.stop - patch.columns.start))
        self.colour[patch.rows, patch.columns][whole] = colour
        self.label[patch.rows, patch.columns][whole] = label
        self.distance[patch.rows, patch.columns][whole] = distance


def _inside(low: float, high: float, samples: int, size: int) -> tuple[int, int]:
    return max(round(low * samples), 0), min(round(high * samples), size)
