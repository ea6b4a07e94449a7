"""When layers were used last: the time of a layer's record on disk. Blocking, but quick.

It survives a restart, and setting it takes no space, also on a full disk.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from snapshotter.blocks.names import LayerName
from snapshotter.serving.layout import Layout


def note_use(layout: Layout, names: Iterable[LayerName]) -> None:
    """Note that layers are used now. One that is gone is passed over."""
    for name in names:
        with suppress(OSError):
            os.utime(layout.record(name))


def last_use(layout: Layout, name: LayerName) -> float:
    """Return when a layer was used last, in seconds since 1970. FileNotFoundError if it is gone."""
    return layout.record(name).stat().st_mtime
