"""The snapshots of all snapshotters in an SQLite database. The only module with SQL.

Concurrency
    Everything here blocks, so it runs in the one thread that `core` keeps for it, and nowhere
    else: transactions follow one another, none ever waits for a lock, and what a transaction does
    to the file system is atomic with it as far as other transactions can see. Another process
    can't interfere, because `core` holds a lock on the root directory.

Durability
    WAL with synchronous=FULL: what was answered survives a power cut. containerd keeps its own
    records of the same snapshots, and the two must not drift apart.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bootseer.errors import HostError, NotFoundError, UsageError
from snapshotter.limits import DEFAULT
from snapshotter.snapshots.errors import ExistsError, StateError
from snapshotter.snapshots.records import Info, Kind, Link, Row, Usage
from snapshotter.snapshots.schema import MIGRATIONS, VERSIONS

NONE: Final = Usage(0, 0)

_COLUMNS: Final = """
    s.id, s.layer, s.name, coalesce(p.name, ''), s.kind, s.created, s.updated, s.size, s.inodes
    FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent
"""


class Store:
    """An open database. HostError whenever SQLite fails."""

    def __init__(self, path: Path, *, now: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._now = now
        with self._named():
            # The thread that opens it may be another than the one that closes it.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._named():
                self._configure()
            self._migrate()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the database; the write-ahead log is folded into it."""
        self._db.close()

    @contextmanager
    def transaction(self, snapshotter: str) -> Iterator["Snapshots"]:
        """Work on the snapshots of one snapshotter; all of it happens, or none if this raises."""
        with self._transaction():
            yield Snapshots(self._db, snapshotter, self._now)

    def ids(self) -> set[int]:
        """Return the ids of all snapshots of all snapshotters."""
        with self._transaction():
            return {number for (number,) in self._db.execute("SELECT id FROM snapshots")}

    def layers(self) -> set[str]:
        """Return all layers and stand-ins that a snapshot uses, of all snapshotters."""
        with self._transaction():
            query = (
                "SELECT layer FROM snapshots WHERE layer IS NOT NULL "
                "UNION SELECT stand_in FROM stand_ins"
            )
            return {layer for (layer,) in self._db.execute(query)}

    def uses(self, layer: str) -> bool:
        """Tell whether any snapshot of any snapshotter uses the layer or stand-in."""
        with self._transaction():
            query = (
                "SELECT EXISTS (SELECT 1 FROM snapshots WHERE layer = :layer) "
                "OR EXISTS (SELECT 1 FROM stand_ins WHERE stand_in = :layer)"
            )
            return bool(self._db.execute(query, {"layer": layer}).fetchone()[0])

    def _configure(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")

    def _migrate(self) -> None:
        with self._transaction():
            self._db.execute(VERSIONS)
            query = "SELECT coalesce(max(version), 0) FROM migrations"
            version: int = self._db.execute(query).fetchone()[0]
            if version > len(MIGRATIONS):
                raise HostError(
                    f"snapshot database {self._path} has schema version {version}, "
                    f"this program knows up to {len(MIGRATIONS)}",
                    hint="use the newer program that wrote it",
                )
            for number, statements in enumerate(MIGRATIONS[version:], version + 1):
                for statement in statements:
                    self._db.execute(statement)
                self._db.execute("INSERT INTO migrations VALUES (?, ?)", (number, self._now()))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                # SQLite itself rolls back on some errors (disk full, I/O).
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise HostError(
                f"snapshot database {self._path}: {error}",
                hint="is the disk full or failing? moved away, it is made anew and images "
                "are pulled again",
            ) from error


class Snapshots:
    """The snapshots of one snapshotter, inside a transaction.

    NotFoundError where a name is not there, ExistsError where a new one is, StateError where the
    snapshot is not of the right kind.
    """

    def __init__(self, db: sqlite3.Connection, snapshotter: str, now: Callable[[], int]) -> None:
        self._db = db
        self._snapshotter = snapshotter
        self._now = now

    def get(self, name: str) -> Row:
        """Return a snapshot."""
        row = self.find(name)
        if row is None:
            raise NotFoundError(f"snapshot {name!r} does not exist")
        return row

    def find(self, name: str) -> Row | None:
        """Return a snapshot, or None."""
        query = f"SELECT {_COLUMNS} WHERE s.snapshotter = ? AND s.name = ?"
        found = self._db.execute(query, (self._snapshotter, name)).fetchone()
        return self._row(found, self._labels(found[0])) if found else None

    def parent(self, name: str) -> Row | None:
        """Return the snapshot that a new one is to be put on; None for an empty name.

        UsageError if it is not committed.
        """
        if not name:
            return None
        row = self.get(name)
        if row.info.kind is not Kind.COMMITTED:
            raise UsageError(f"parent {name!r} is not a committed snapshot")
        return row

    def chain(self, name: str) -> list[Link]:
        """Return the snapshot and all below it, from the top down; nothing for an empty name."""
        query = """
            WITH RECURSIVE chain (depth, id, layer, parent) AS (
                SELECT 0, id, layer, parent FROM snapshots WHERE snapshotter = ? AND name = ?
                UNION ALL
                SELECT depth + 1, s.id, s.layer, s.parent
                FROM chain JOIN snapshots s ON s.id = chain.parent
            )
            SELECT id, layer FROM chain ORDER BY depth
        """
        return [Link(*found) for found in self._db.execute(query, (self._snapshotter, name))]

    def all(self, having: tuple[str, str] | None = None) -> list[Info]:
        """Return all snapshots, oldest first; or only those that have a certain label."""
        which, values = "s.snapshotter = ?", [self._snapshotter]
        if having:
            which += " AND s.id IN (SELECT snapshot FROM labels WHERE key = ? AND value = ?)"
            values += having
        join = "FROM labels l JOIN snapshots s ON s.id = l.snapshot"
        query = f"SELECT l.snapshot, l.key, l.value {join} WHERE {which}"
        labels: dict[int, dict[str, str]] = {}
        for number, key, value in self._db.execute(query, values):
            labels.setdefault(number, {})[key] = value
        found = self._db.execute(f"SELECT {_COLUMNS} WHERE {which} ORDER BY s.id", values)
        return [self._row(columns, labels.get(columns[0], {})).info for columns in found]

    def labelled(self, key: str, value: str, parent: str) -> list[Row]:
        """Return the committed snapshots that have a label and a parent (empty: none)."""
        query = f"""SELECT {_COLUMNS} JOIN labels l ON l.snapshot = s.id
            WHERE l.key = ? AND l.value = ? AND s.snapshotter = ? AND s.kind = ?
            AND coalesce(p.name, '') = ? ORDER BY s.id"""
        values = (key, value, self._snapshotter, Kind.COMMITTED, parent)
        return [
            self._row(found, self._labels(found[0])) for found in self._db.execute(query, values)
        ]

    def insert(
        self,
        kind: Kind,
        name: str,
        parent: str,
        labels: Mapping[str, str],
        *,
        layer: str | None = None,
        usage: Usage = NONE,
    ) -> Row:
        """Add a snapshot on top of `parent`, or of nothing where that is empty."""
        self._check_new(name)
        below = self.parent(parent)
        now = self._now()
        values = (
            self._snapshotter,
            name,
            kind,
            below.link.id if below else None,
            now,
            now,
            layer,
            usage.size,
            usage.inodes,
        )
        cursor = self._db.execute(
            "INSERT INTO snapshots (snapshotter, name, kind, parent, created, updated, layer, "
            "size, inodes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        if cursor.lastrowid is None:
            raise AssertionError("SQLite gave no row id for an INSERT")
        self._set_labels(cursor.lastrowid, labels)
        return self.get(name)

    def committable(self, key: str, name: str) -> Row:
        """Return the active snapshot `key` if it can be committed as `name`.

        That the name is taken comes first: to who tries again without having seen the answer,
        that is the answer.
        """
        self._check_new(name)
        row = self.get(key)
        if row.info.kind is not Kind.ACTIVE:
            raise StateError(f"snapshot {key!r} is not active and cannot be committed")
        return row

    def commit(
        self, key: str, name: str, labels: Mapping[str, str], parent: str, usage: Usage
    ) -> None:
        """Turn an active snapshot into a committed one. Labels are replaced.

        `parent` is given to a snapshot that was made without one; empty keeps what it has.
        UsageError if it has another.
        """
        row = self.committable(key, name)
        if parent and row.info.parent not in ("", parent):
            raise UsageError(f"snapshot {key!r} cannot be moved to another parent on commit")
        below = self.parent(parent or row.info.parent)
        now = self._now()
        self._db.execute(
            "UPDATE snapshots SET name = ?, kind = ?, parent = ?, created = ?, updated = ?, "
            "size = ?, inodes = ? WHERE id = ?",
            (
                name,
                Kind.COMMITTED,
                below.link.id if below else None,
                now,
                now,
                usage.size,
                usage.inodes,
                row.link.id,
            ),
        )
        self._set_labels(row.link.id, labels)

    def remove(self, name: str) -> Row:
        """Delete a snapshot that has no children and return what it was."""
        row = self.get(name)
        query = "SELECT name FROM snapshots WHERE parent = ? LIMIT 1"
        child = self._db.execute(query, (row.link.id,)).fetchone()
        if child:
            # Clients look for the word "remove".
            raise StateError(f"cannot remove snapshot {name!r}: {child[0]!r} is built on it")
        self._db.execute("DELETE FROM snapshots WHERE id = ?", (row.link.id,))
        return row

    def relabel(self, name: str, labels: Mapping[str, str]) -> Info:
        """Replace the labels and return the snapshot."""
        row = self.get(name)
        query = "UPDATE snapshots SET updated = ? WHERE id = ?"
        self._db.execute(query, (self._now(), row.link.id))
        self._set_labels(row.link.id, labels)
        return self.get(name).info

    def stand_ins(self, number: int) -> dict[str, str]:
        """Return what a snapshot's container gets in the place of layers below it."""
        query = "SELECT layer, stand_in FROM stand_ins WHERE snapshot = ?"
        return dict(self._db.execute(query, (number,)))

    def set_stand_ins(self, number: int, stand_ins: Mapping[str, str]) -> None:
        """Give a snapshot's container something else in the place of layers below it."""
        self._db.execute("DELETE FROM stand_ins WHERE snapshot = ?", (number,))
        rows = [(number, layer, other) for layer, other in stand_ins.items()]
        self._db.executemany("INSERT INTO stand_ins VALUES (?, ?, ?)", rows)

    def _check_new(self, name: str) -> None:
        if not name or len(name.encode()) > DEFAULT.snapshot_name:
            raise UsageError(
                f"a snapshot's name has 1 to {DEFAULT.snapshot_name} bytes, not {len(name)}"
            )
        if self.find(name):
            raise ExistsError(f"snapshot {name!r} exists already")

    def _labels(self, number: int) -> dict[str, str]:
        query = "SELECT key, value FROM labels WHERE snapshot = ?"
        return dict(self._db.execute(query, (number,)))

    def _set_labels(self, number: int, labels: Mapping[str, str]) -> None:
        self._db.execute("DELETE FROM labels WHERE snapshot = ?", (number,))
        rows = [(number, key, value) for key, value in labels.items()]
        self._db.executemany("INSERT INTO labels VALUES (?, ?, ?)", rows)

    @staticmethod
    def _row(
        columns: tuple[int, str | None, str, str, int, int, int, int, int], labels: dict[str, str]
    ) -> Row:
        number, layer, name, parent, kind, created, updated, size, inodes = columns
        info = Info(name, parent, Kind(kind), created, updated, labels)
        return Row(Link(number, layer), info, Usage(size, inodes))
