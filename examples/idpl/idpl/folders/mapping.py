"""From the labels of each data set to the 19 classes of Cityscapes' evaluation."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from idpl.classes import CITYSCAPES, IGNORE

_CITYSCAPES_IDS: Final = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "light": 19,
    "sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
_SYNTHIA_IDS: Final = {
    "sky": 1,
    "building": 2,
    "road": 3,
    "sidewalk": 4,
    "fence": 5,
    "vegetation": 6,
    "pole": 7,
    "car": 8,
    "sign": 9,
    "person": 10,
    "bicycle": 11,
    "motorcycle": 12,
    "light": 15,
    "terrain": 16,
    "rider": 17,
    "truck": 18,
    "bus": 19,
    "train": 20,
    "wall": 21,
}

UNKNOWN: Final = 254
"""In a table: an id that the data set does not have."""


def _table(ids: Mapping[str, int], last: int, *also: int) -> NDArray[np.uint8]:
    table = np.full(256, UNKNOWN, dtype=np.uint8)
    table[: last + 1] = IGNORE
    table[list(also)] = IGNORE
    for name, number in ids.items():
        table[number] = CITYSCAPES.names.index(name)
    return table


TABLES: Final[Mapping[str, NDArray[np.uint8]]] = {
    # 255 is what Cityscapes' -1, the licence plates, is in a byte.
    "cityscapes": _table(_CITYSCAPES_IDS, 33, 255),
    # GTA5 uses Cityscapes' ids, and 34 for licence plates.
    "gta5": _table(_CITYSCAPES_IDS, 34, 255),
    "synthia": _table(_SYNTHIA_IDS, 22),
}
"""For each kind of folder, the class of each id; `IGNORE` for those that are not evaluated."""
