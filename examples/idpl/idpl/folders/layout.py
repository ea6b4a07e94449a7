"""Where each data set keeps its pictures and labels, and which belong together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from idpl.errors import DataError


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its labels; None where it has none."""

    picture: Path
    label: Path | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds; `extra` are labels that belong to no picture."""

    pairs: tuple[Pair, ...]
    extra: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    pictures: str
    labels: str
    label_of: Callable[[str], str]
    """From a picture's path below its folder to its label's, below the labels' folder."""


def _same(path: str) -> str:
    return path


def _cityscapes_label(path: str) -> str:
    return path.replace("_leftImg8bit.png", "_gtFine_labelIds.png")


def _layout(kind: str, split: str) -> _Layout:
    layouts: Final[Mapping[str, _Layout]] = {
        "gta5": _Layout("images", "labels", _same),
        "synthia": _Layout("RGB", "GT/LABELS", _same),
        "cityscapes": _Layout(f"leftImg8bit/{split}", f"gtFine/{split}", _cityscapes_label),
    }
    return layouts[kind]


def find_pairs(folder: Path, kind: str, split: str) -> Found:
    """Return the pictures of a folder with their labels, by name. Raises `DataError`."""
    layout = _layout(kind, split)
    pictures, labels = folder / layout.pictures, folder / layout.labels
    names = sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*.png"))
    if not names:
        raise DataError(
            f"{pictures}: no PNG pictures there",
            hint=f"a folder of kind {kind} has {layout.pictures}/ and {layout.labels}/",
        )
    there = {str(path.relative_to(labels)) for path in labels.rglob("*.png")}
    wanted = {name: layout.label_of(name) for name in names}
    pairs = tuple(
        Pair(pictures / name, labels / label if label in there else None)
        for name, label in wanted.items()
    )
    extra = there - set(wanted.values())
    if kind == "cityscapes":  # it has colour, instance and polygon files beside the ids
        extra = {name for name in extra if name.endswith("_labelIds.png")}
    return Found(pairs, tuple(labels / name for name in sorted(extra)))
