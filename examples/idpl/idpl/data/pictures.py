"""What the training asks of a set of pictures."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture [H, W, 3] and its classes [H, W]; `IGNORE` where it has none."""

    picture: NDArray[np.uint8]
    label: NDArray[np.uint8]


class Pictures(Protocol):
    """A set of samples, each of the same size. Reading one may raise `DataError`."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return one."""
        ...

    def name(self, index: int) -> str:
        """Return what a person calls it."""
        ...
