"""An earlier snapshot under a step: laid out for it, and what came of it looked through."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import CorruptError
from depsnap.capture.ground import Changes
from depsnap.nearest.proof import Distribution, difference, distributions, orphans
from depsnap.packing.groups import owners
from depsnap.restore.restore import lay_out
from depsnap.snapshots.library import Stored
from depsnap.snapshots.places import Place
from depsnap.swap.workplace import Workplace
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, Tree


@dataclass(frozen=True, slots=True)
class NearestGround:
    """A snapshot, and what should be there in the end: a `depsnap.capture.ground.Ground`."""

    stored: Stored
    tree: Tree
    place: Place
    workers: int
    wanted: frozenset[Distribution]

    def lay(self, work: Workplace) -> None:
        """Unpack the snapshot where the command's own changes will be.

        Raises:
            BootseerError: it cannot be read or written.
        """
        # Not from what the node has kept: through its links the command could write into that.
        lay_out(self.stored.head, self.tree, self.place, work, self.workers)

    def objection(self, work: Workplace, changes: Changes) -> str:
        """Return what the command alone would not have left; empty if there is nothing."""
        if said := difference(distributions(changes), set(self.wanted)):
            return said
        earlier = {entry.path: entry for entry in self.tree.entries}
        records = [
            path
            for path, kind in changes
            if path.endswith(".dist-info/RECORD") and kind not in (*DIRECTORIES, Kind.DELETED)
        ]
        owned = owners({path: _text(work.ready(path)) for path in records})
        kinds = {path: entry.kind for path, entry in earlier.items()}
        left = orphans(changes, kinds, owned, _unchanged(earlier, work))
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        return f"/{left[0]}{more} would not be there" if left else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise CorruptError(f"{path}: {error.strerror}") from error


def _unchanged(earlier: dict[str, Entry], work: Workplace) -> Callable[[str], bool]:
    def ask(path: str) -> bool:
        entry = earlier.get(path)
        if entry is None or entry.kind is not Kind.FILE:
            return False
        try:
            now = os.lstat(work.ready(path))
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (entry.size, entry.mtime_ns)

    return ask
