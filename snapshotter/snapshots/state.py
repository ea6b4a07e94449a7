"""Rows and the directories that belong to them, changed together. Blocking.

Every method is one transaction and is called from one thread (see `store`). A directory is
complete under its final name before the row that names it is committed, and a row is gone before
its directory is moved away: a crash leaves directories without rows, which the next `create` of
that id or the next `sweep` moves aside, but never a row without its directory.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from bootseer.errors import NotFoundError
from snapshotter.snapshots import labels as label_rules
from snapshotter.snapshots.directories import Directories
from snapshotter.snapshots.errors import ExistsError, StateError
from snapshotter.snapshots.filters import Filter
from snapshotter.snapshots.ports import LayerMount
from snapshotter.snapshots.records import Info, Kind, Link, Owner, Row, Usage
from snapshotter.snapshots.store import Snapshots, Store

_log = logging.getLogger(__name__)


class State:
    """What exists below one root directory."""

    def __init__(self, root: Path) -> None:
        self._directories = Directories(root)
        self._store = Store(root / "snapshots.db")
        self.layers = self._store.layers
        self.uses = self._store.uses
        self.tree = self._directories.tree
        self.work = self._directories.work

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def get(self, snapshotter: str, name: str) -> Row:
        """Return a snapshot."""
        with self._store.transaction(snapshotter) as snapshots:
            return snapshots.get(name)

    def select(self, snapshotter: str, matches: Filter) -> list[Info]:
        """Return the snapshots that match, oldest first."""
        with self._store.transaction(snapshotter) as snapshots:
            return [info for info in snapshots.all(matches.needed_label) if matches(info)]

    def below(self, snapshotter: str, parent: str) -> tuple[Info | None, list[Link]]:
        """Return the parent of a new snapshot, and what it has below it, from the top down."""
        with self._store.transaction(snapshotter) as snapshots:
            row = snapshots.parent(parent)
            return row.info if row else None, snapshots.chain(parent)

    def mounted(self, snapshotter: str, key: str) -> tuple[Row, list[Link]]:
        """Return an active snapshot or view and what it has below it, from the top down."""
        with self._store.transaction(snapshotter) as snapshots:
            row = snapshots.get(key)
            if row.info.kind is Kind.COMMITTED:
                raise StateError(f"snapshot {key!r} is committed: only what is built on it mounts")
            return row, _with(snapshots.stand_ins(row.link.id), snapshots.chain(row.info.parent))

    def of_client(self, snapshotter: str, namespace: str, key: str) -> tuple[Row, list[Link]]:
        """Return what `mounted` does for what a client of containerd calls `key`.

        containerd knows it as `namespace/number/key`. NotFoundError if there is none.
        """
        with self._store.transaction(snapshotter) as snapshots:
            for info in snapshots.all():
                space, _, rest = info.name.partition("/")
                if space == namespace and rest.partition("/")[2] == key:
                    row = snapshots.get(info.name)
                    chain = snapshots.chain(info.parent)
                    return row, _with(snapshots.stand_ins(row.link.id), chain)
        raise NotFoundError(f"no snapshot {key!r} of {snapshotter} in {namespace}")

    def create(
        self,
        kind: Kind,
        snapshotter: str,
        key: str,
        parent: str,
        labels: Mapping[str, str],
        owner: Owner,
        stand_ins: Mapping[str, str],
    ) -> tuple[Row, list[Link]]:
        """Make an active snapshot or a view, with its directories; return what `mounted` does."""
        with self._store.transaction(snapshotter) as snapshots:
            row = snapshots.insert(kind, key, parent, labels)
            snapshots.set_stand_ins(row.link.id, stand_ins)
            self._directories.create(row.link.id, kind, owner)
            return row, _with(stand_ins, snapshots.chain(parent))

    def stand_in(self, snapshotter: str, key: str, stand_ins: Mapping[str, str]) -> None:
        """Give the container of an active snapshot something else in the place of its layers."""
        with self._store.transaction(snapshotter) as snapshots:
            snapshots.set_stand_ins(snapshots.get(key).link.id, stand_ins)

    def wanted(
        self, snapshotter: str, key: str, parent: str, target: str
    ) -> tuple[Info | None, Row | None]:
        """Look up what a Prepare for a layer of chain ID `target` needs to know.

        Returns the parent, and the snapshot that serves this layer on this parent already.
        """
        with self._store.transaction(snapshotter) as snapshots:
            if snapshots.find(key):
                raise ExistsError(f"snapshot {key!r} exists already")
            below = snapshots.parent(parent)
            there = snapshots.labelled(label_rules.TARGET, target, parent)
            lazy = next((row for row in there if row.link.layer), None)
            return below.info if below else None, lazy

    def serve(
        self,
        snapshotter: str,
        target: str,
        parent: str,
        labels: Mapping[str, str],
        layer: LayerMount,
    ) -> None:
        """Add a committed snapshot that serves a layer.

        It is called `target`, or something else if that is taken: the same layers may lie on
        another parent, and containerd finds it by label and parent, whatever it is called.
        """
        usage = Usage(layer.size, layer.inodes)
        with self._store.transaction(snapshotter) as snapshots:
            name = _free(snapshots, target)
            snapshots.insert(Kind.COMMITTED, name, parent, labels, layer=layer.layer, usage=usage)

    def stage(
        self, snapshotter: str, key: str, parent: str, labels: Mapping[str, str], layer: LayerMount
    ) -> None:
        """Add an active snapshot that already serves a layer and only has to be committed."""
        usage = Usage(layer.size, layer.inodes)
        with self._store.transaction(snapshotter) as snapshots:
            snapshots.insert(Kind.ACTIVE, key, parent, labels, layer=layer.layer, usage=usage)

    def committable(self, snapshotter: str, key: str, name: str) -> Row:
        """Return the active snapshot `key` if it can be committed as `name`."""
        with self._store.transaction(snapshotter) as snapshots:
            return snapshots.committable(key, name)

    def commit(
        self,
        snapshotter: str,
        key: str,
        name: str,
        labels: Mapping[str, str],
        parent: str,
        usage: Usage,
    ) -> None:
        """Turn an active snapshot into a committed one."""
        with self._store.transaction(snapshotter) as snapshots:
            snapshots.commit(key, name, labels, parent, usage)

    def remove(self, snapshotter: str, key: str) -> list[str]:
        """Remove a snapshot; return the layers and stand-ins that it used.

        Its directory is only moved aside.
        """
        with self._store.transaction(snapshotter) as snapshots:
            stand_ins = snapshots.stand_ins(snapshots.get(key).link.id)
            row = snapshots.remove(key)
        try:
            self._directories.discard(row.link.id)
        except OSError as error:
            # The snapshot is gone; the next sweep gets its directory.
            fields = {"id": row.link.id, "error": str(error)}
            _log.warning("directory of removed snapshot not moved", extra={"fields": fields})
        return [*stand_ins.values(), *([row.link.layer] if row.link.layer else [])]

    def relabel(
        self, snapshotter: str, name: str, labels: Mapping[str, str], fields: Sequence[str]
    ) -> Info:
        """Change labels, see `labels.updated`."""
        with self._store.transaction(snapshotter) as snapshots:
            old = snapshots.get(name).info.labels
            return snapshots.relabel(name, label_rules.updated(old, labels, fields))

    def sweep(self) -> list[Path]:
        """Move aside all that belongs to no snapshot and return what can be deleted."""
        return self._directories.sweep(self._store.ids())


def _with(stand_ins: Mapping[str, str], chain: Sequence[Link]) -> list[Link]:
    """Put stand-ins in the places of their layers."""
    return [
        Link(link.id, stand_ins.get(link.layer, link.layer) if link.layer else None, link.layer)
        for link in chain
    ]


def _free(snapshots: Snapshots, target: str) -> str:
    if not snapshots.find(target):
        return target
    names = (f"{target}#{number}" for number in count(2))
    return next(name for name in names if not snapshots.find(name))
