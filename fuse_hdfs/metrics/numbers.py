"""What a mount counts, at one moment. Counters begin at 0 when it starts."""

from collections.abc import Mapping
from dataclasses import dataclass

import bootseer
from bootseer.metrics.process import ProcessNumbers, process_numbers
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stores.traffic import Counters, Direction
from fuse_hdfs.vfs.tree import Tree


@dataclass(frozen=True, slots=True)
class Start:
    """How long it took until the mount could be used. Seconds."""

    store: float
    """Until the store was open."""
    mounted: float
    """From then on until programs could use the mount."""


@dataclass(frozen=True, slots=True)
class MountNumbers:
    """All of it."""

    version: str
    process: ProcessNumbers
    start: Start
    machines: Mapping[tuple[str, Direction], Counters]
    """By DataNode."""
    stripes: Mapping[tuple[str, Direction], Counters]
    """By number of the stripe."""
    retries: int
    hedges: int
    """Reads of stripes for which another copy was asked as well."""
    hedges_won: int
    """Of these, those that the other copy answered first."""
    cache_bytes: int
    """Units that are kept, or on their way."""
    open_files: int


def collect(volume: Volume, tree: Tree, start: Start) -> MountNumbers:
    """Return what was counted so far. The counters go on: look at them before anything awaits."""
    traffic, hedging = volume.store.traffic, volume.contents.hedging
    return MountNumbers(
        version=bootseer.__version__,
        process=process_numbers(),
        start=start,
        machines=traffic.counters,
        stripes=volume.stripes.counters,
        retries=traffic.retries,
        hedges=hedging.hedges,
        hedges_won=hedging.won,
        cache_bytes=volume.contents.taken,
        open_files=tree.open_files,
    )
