"""What has to leave the cache so that its bounds hold. Pure.

Layers that nothing needs go first, the one used longest ago before all others; they go whole. Only
then the chunks of layers that are mounted, again by last use; of these only what can be fetched
again, which is all but what a mount reads from the cache file past us.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from snapshotter.blocks.names import LayerName

_SLACK_OF_SIZE: Final = 32
"""A part of the size is freed beyond the bound, so that not every chunk makes another go."""
_SLACK_OF_DISK: Final = 200


class Hold(StrEnum):
    """What keeps a layer in the cache."""

    NOTHING = "unused"
    """No snapshot needs it."""
    MOUNTED = "mounted"
    """It is mounted, its chunks are served by us."""
    PINNED = "pinned"
    """It is mounted from its cache file: nothing of it can go."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the cache may take."""

    size: int = 0
    """Bytes; 0 for as much as the disk has."""
    spare: float = 0.2
    """With less of the disk free, layers that nothing needs go (a share)."""
    least_free: float = 0.05
    """With less of the disk free, chunks of mounted layers go as well (a share)."""


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Of the file system that the cache is on, in bytes."""

    total: int
    free: int


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """One layer in the cache."""

    name: LayerName
    size: int
    """Bytes that it takes on disk."""
    used: float
    """When it was used last, in seconds since 1970."""
    hold: Hold
    evictable: int
    """Bytes of its data that can go while it is mounted; 0 where it goes whole or not at all."""


@dataclass(frozen=True, slots=True)
class Shrink:
    """Bytes of data that a mounted layer is to give up."""

    name: LayerName
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order."""

    remove: tuple[LayerName, ...] = ()
    shrink: tuple[Shrink, ...] = ()
    short: int = 0
    """Bytes that are still too many when all of it is done."""


def needed(bounds: Bounds, disk: DiskSpace, size: int) -> tuple[int, int]:
    """Return how many bytes have to go: at any rate, and of layers that nothing needs.

    `size`: what the cache takes now.
    """
    over = _with_slack(size - bounds.size, bounds.size // _SLACK_OF_SIZE) if bounds.size else 0
    slack = disk.total // _SLACK_OF_DISK
    least = _with_slack(int(bounds.least_free * disk.total) - disk.free, slack)
    spare = _with_slack(int(bounds.spare * disk.total) - disk.free, slack)
    at_any_rate = max(over, least)
    return at_any_rate, max(at_any_rate, spare)


def plan(bounds: Bounds, disk: DiskSpace, layers: Iterable[CachedLayer]) -> Plan:
    """Return what has to go."""
    by_use = sorted(layers, key=lambda layer: layer.used)
    at_any_rate, unused = needed(bounds, disk, sum(layer.size for layer in by_use))
    remove, freed = _remove(by_use, unused)
    shrink = []
    for layer in by_use:
        wanted = min(layer.evictable, at_any_rate - freed)
        if layer.hold is Hold.MOUNTED and wanted > 0:
            shrink.append(Shrink(layer.name, wanted))
            freed += wanted
    return Plan(remove, tuple(shrink), max(at_any_rate - freed, 0))


def _remove(by_use: Sequence[CachedLayer], wanted: int) -> tuple[tuple[LayerName, ...], int]:
    """Return the layers to remove for `wanted` bytes, and how many bytes that gives."""
    names, freed = [], 0
    for layer in by_use:
        if freed < wanted and layer.hold is Hold.NOTHING:
            names.append(layer.name)
            freed += layer.size
    return tuple(names), freed


def is_crowded(bounds: Bounds, layers: Iterable[CachedLayer]) -> bool:
    """Say whether what is needed takes so much that nothing should be fetched without a reader."""
    held = sum(layer.size for layer in layers if layer.hold is not Hold.NOTHING)
    return bool(bounds.size) and held > bounds.size - bounds.size // 8


def _with_slack(excess: int, slack: int) -> int:
    return excess + slack if excess > 0 else 0
