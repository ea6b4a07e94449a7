"""The classes: names, colours of their maps, and which ones count as hard."""

from dataclasses import dataclass
from typing import Final

IGNORE: Final = 255
"""The label of pixels that count neither in training nor in evaluation."""


@dataclass(frozen=True, slots=True)
class ClassSet:
    """Classes by their number. `hard` are the small and rare ones."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    hard: frozenset[str]

    def __len__(self) -> int:
        return len(self.names)

    def hard_numbers(self) -> tuple[int, ...]:
        """Return the numbers of the hard classes."""
        return tuple(n for n, name in enumerate(self.names) if name in self.hard)


STREET: Final = ClassSet(
    names=(
        "road",
        "sidewalk",
        "building",
        "vegetation",
        "sky",
        "car",
        "person",
        "rider",
        "pole",
        "light",
        "sign",
    ),
    colours=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (107, 142, 35),
        (70, 130, 180),
        (0, 0, 142),
        (220, 20, 60),
        (255, 120, 0),
        (190, 190, 190),
        (250, 170, 30),
        (220, 220, 0),
    ),
    hard=frozenset({"person", "rider", "pole", "light", "sign"}),
)
"""The classes of the rendered scenes."""

CITYSCAPES: Final = ClassSet(
    names=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "light",
        "sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    colours=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
    hard=frozenset(
        {"wall", "fence", "pole", "light", "sign", "rider", "train", "motorcycle", "bicycle"}
    ),
)
"""The 19 classes of Cityscapes' evaluation, by their train id."""
