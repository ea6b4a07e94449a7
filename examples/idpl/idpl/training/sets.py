"""The three sets of pictures of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from idpl.classes import CITYSCAPES, STREET, ClassSet
from idpl.config import Config, DataConfig
from idpl.data.pictures import Pictures
from idpl.data.rendered import RenderedPictures
from idpl.folders.pictures import FolderPictures

Say = Callable[[str], None]
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


def open_pictures(
    data: DataConfig,
    size: tuple[int, int],
    progress: Progress,
    *,
    labelled: bool = True,
    say: Say = lambda _line: None,
) -> Pictures:
    """Return one set of pictures. Raises `DataError`."""
    if data.kind != "scenes":
        folder = Path(data.folder)
        return FolderPictures(
            folder, data.kind, data.split, size, count=data.count, labelled=labelled, say=say
        )

    def report(done: int, count: int) -> None:
        progress(f"rendering {data.domain}", done, count)

    return RenderedPictures(data.domain, data.count, data.seed, size, report)


def open_sets(config: Config, progress: Progress, say: Say = lambda _line: None) -> Sets:
    """Return the sets of a run. Raises `DataError`. The target's labels are not even read."""
    size = (config.height, config.width)
    return Sets(
        open_pictures(config.source, size, progress, say=say),
        open_pictures(config.target, size, progress, labelled=False),
        open_pictures(config.evaluation, size, progress, say=say),
        classes_of(config),
    )
