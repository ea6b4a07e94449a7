"""The three sets of pictures of a run."""

from collections.abc import Callable
from dataclasses import dataclass

from idpl.classes import CITYSCAPES, STREET, ClassSet
from idpl.config import Config, DataConfig
from idpl.data.pictures import Pictures
from idpl.data.rendered import RenderedPictures

Progress = Callable[[str, int, int], None]
"""Told of what how many of how many are done."""


@dataclass(frozen=True, slots=True)
class Sets:
    """Source with labels, target without, and target pictures with labels to evaluate on."""

    source: Pictures
    target: Pictures
    evaluation: Pictures
    classes: ClassSet


def classes_of(config: Config) -> ClassSet:
    """Return the classes that a configuration names."""
    return {"street": STREET, "cityscapes": CITYSCAPES}[config.classes]


def open_pictures(data: DataConfig, size: tuple[int, int], progress: Progress) -> Pictures:
    """Return one set of pictures. Raises `DataError`."""

    def report(done: int, count: int) -> None:
        progress(f"rendering {data.domain}", done, count)

    return RenderedPictures(data.domain, data.count, data.seed, size, report)


def open_sets(config: Config, progress: Progress) -> Sets:
    """Return the sets of a run. Raises `DataError`."""
    size = (config.height, config.width)
    return Sets(
        open_pictures(config.source, size, progress),
        open_pictures(config.target, size, progress),
        open_pictures(config.evaluation, size, progress),
        classes_of(config),
    )
