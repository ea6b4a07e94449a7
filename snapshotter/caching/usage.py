"""What layers take on disk, and when they were used last. Blocking."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import CorruptError, NotFoundError
from snapshotter.blocks.names import LayerName, parse_name
from snapshotter.caching.plan import DiskSpace
from snapshotter.serving.files import read_record
from snapshotter.serving.layout import LayerRecord, Layout
from snapshotter.serving.use import last_use

_SECTOR: Final = 512
_DATA: Final = ("data", "blob")
_MOUNT_POINTS: Final = frozenset({"fs", "bottom"})
"""Never looked into: behind them are trees, and perhaps somebody who does not answer."""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A layer's directory. Sizes in bytes."""

    name: LayerName
    record: LayerRecord | None
    """None if it cannot be used."""
    size: int
    data: int
    """Of these, those of its data area, and of its blob as long as that is kept."""
    used: float
    """Seconds since 1970."""


def find(layout: Layout) -> list[OnDisk]:
    """Return the layers on disk, in no order."""
    found = []
    for path in layout.layers.iterdir():
        name = parse_name(path.name)
        if name is None:
            continue
        with suppress(FileNotFoundError):  # it is being removed
            used, data = last_use(layout, name), sum(_file_size(path / file) for file in _DATA)
            found.append(OnDisk(name, _record(layout, name), _size(path), data, used))
    return found


def _record(layout: Layout, name: LayerName) -> LayerRecord | None:
    try:
        return read_record(layout, name)
    except (CorruptError, NotFoundError):
        return None


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_blocks * _SECTOR
    except FileNotFoundError:
        return 0


def _size(directory: Path) -> int:
    """Return what the files in a layer's directory take."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name in _MOUNT_POINTS:
                continue
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    total += _size(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * _SECTOR
    return total


def space_of(directory: Path) -> DiskSpace:
    """Return the space of the file system that a directory is on."""
    found = os.statvfs(directory)
    return DiskSpace(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
