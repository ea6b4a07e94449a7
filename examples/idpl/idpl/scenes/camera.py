"""A pinhole camera above a street: where points of the world land in the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks along +z. Lengths of the world are metres, of the picture output pixels.

    `samples` is how many rays a pixel has in each direction.
    """

    width: int
    height: int
    samples: int
    focal: float
    horizon: float
    above_ground: float
    centre: float

    def grid(self) -> tuple[Floats, Floats]:
        """Return the columns [1, W] and the rows [H, 1] of all rays, in output pixels."""
        step = 1.0 / self.samples
        columns = (np.arange(self.width * self.samples, dtype=np.float32) + 0.5) * step
        rows = (np.arange(self.height * self.samples, dtype=np.float32) + 0.5) * step
        return columns[None, :], rows[:, None]

    def distances(self, rows: Floats) -> Floats:
        """Return how far away the ground is in these rows, all below the horizon."""
        below = rows - np.float32(self.horizon)
        return np.asarray(np.float32(self.focal * self.above_ground) / below, dtype=np.float32)

    def right(self, columns: Floats, z: Floats) -> Floats:
        """Return how far to the right of the camera these columns are at distances `z`."""
        beside = columns - np.float32(self.centre)
        return np.asarray(beside * z / np.float32(self.focal), dtype=np.float32)

    def scale(self, z: float) -> float:
        """Return how many pixels a metre is at distance `z`."""
        return self.focal / z

    def column(self, x: float, z: float) -> float:
        """Return the column of a point `x` metres to the right at distance `z`."""
        return self.centre + x * self.scale(z)

    def ground_row(self, z: float) -> float:
        """Return the row of the ground at distance `z`."""
        return self.horizon + self.above_ground * self.scale(z)
