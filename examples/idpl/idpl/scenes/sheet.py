"""The contact sheet: scenes of both domains beside their labels, to look at."""

import numpy as np
from numpy.typing import NDArray

from idpl.classes import IGNORE, STREET, ClassSet
from idpl.scenes.domains import CITY, GAME
from idpl.scenes.render import render_scene


def coloured(label: NDArray[np.uint8], classes: ClassSet = STREET) -> NDArray[np.uint8]:
    """Return a label map [H, W] in its classes' colours; what is ignored is black."""
    table = np.zeros((IGNORE + 1, 3), dtype=np.uint8)
    table[: len(classes)] = classes.colours
    return table[label]


def enlarged(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return a picture with every pixel as a square of `factor` pixels."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def contact_sheet(size: tuple[int, int], rows: int, seed: int, factor: int) -> NDArray[np.uint8]:
    """Return a sheet: a row has two scenes of the game, two of the city, each with its labels."""
    return enlarged(np.concatenate([_row(size, row, seed) for row in range(rows)]), factor)


def _row(size: tuple[int, int], row: int, seed: int) -> NDArray[np.uint8]:
    tiles = []
    for domain in (GAME, CITY):
        for column in range(2):
            scene = render_scene(domain, (seed, row, column), size)
            tiles += [scene.picture, coloured(scene.label)]
    return np.concatenate(tiles, axis=1)
