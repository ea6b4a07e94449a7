"""What the paper's first author published: average start-up overhead by job size.

A box plot (arXiv 2507.12619, its author's page), read off the picture to 3 s; what its whiskers
are is not said. The cluster's network, images and storage are not published.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Box:
    """Jobs of one size. Seconds."""

    least_gpus: int
    most_gpus: int
    median: float
    lower: float
    """Quartiles."""
    upper: float
    whisker: float
    """The highest."""


PUBLISHED: Final = (
    Box(1, 10, 43, 41, 100, 188),
    Box(10, 100, 125, 58, 193, 396),
    Box(100, 500, 333, 265, 531, 924),
    Box(500, 1_000, 313, 252, 418, 664),
    Box(1_000, 2_000, 409, 328, 462, 630),
    Box(2_000, 3_000, 431, 171, 613, 955),
    Box(3_000, 10_000, 501, 416, 541, 541),
)
"""The last has no upper bound in the paper: "over 3,000"."""
