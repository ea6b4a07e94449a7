"""Tables of the snapshot store, as the migrations that make them. Only `store` runs them.

A migration never changes once it was released; a new one is appended.
"""

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE snapshots (
            -- Names the snapshot's directory. Never reused, so that whatever a removed snapshot
            -- left behind can't be taken for another's.
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            -- Name of the containerd plugin that it belongs to: two containerds on one server
            -- would otherwise collect each other's snapshots as garbage.
            snapshotter TEXT NOT NULL,
            -- containerd's name for it: the key of an active one or view, then the committed name.
            name TEXT NOT NULL,
            -- records.Kind: 1 view, 2 active, 3 committed.
            kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
            -- The committed snapshot below, of the same snapshotter. NULL for a bottom one.
            parent INTEGER REFERENCES snapshots (id) ON DELETE RESTRICT,
            -- Nanoseconds since the epoch; committing sets both anew.
            created INTEGER NOT NULL,
            updated INTEGER NOT NULL,
            -- What the layer provider calls the tree that this snapshot serves lazily. NULL where
            -- the tree is the snapshot's own directory.
            layer TEXT,
            -- Disk usage without parents, in bytes and inodes; 0 until committed.
            size INTEGER NOT NULL DEFAULT 0,
            inodes INTEGER NOT NULL DEFAULT 0,
            UNIQUE (snapshotter, name)
        )
        """,
        # Are there children? Used by every Remove.
        "CREATE INDEX snapshots_by_parent ON snapshots (parent)",
        # Is the layer still in use? Used when a snapshot with a layer is removed.
        "CREATE INDEX snapshots_by_layer ON snapshots (layer) WHERE layer IS NOT NULL",
        """
        CREATE TABLE labels (
            snapshot INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
            key TEXT NOT NULL,
            -- Never empty: a label without a value is no label.
            value TEXT NOT NULL CHECK (value <> ''),
            PRIMARY KEY (snapshot, key)
        ) WITHOUT ROWID
        """,
        # Is the layer of this chain ID there already? Used by every Prepare of an image layer.
        "CREATE INDEX labels_by_value ON labels (key, value)",
    ),
    (
        """
        CREATE TABLE stand_ins (
            -- An active snapshot: the container that runs on it.
            snapshot INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
            -- What the layer provider calls a layer below it.
            layer TEXT NOT NULL,
            -- What the container gets in its place: the same tree, mounted another way.
            stand_in TEXT NOT NULL,
            PRIMARY KEY (snapshot, layer)
        ) WITHOUT ROWID
        """,
        # Is the stand-in still in use? Used when a snapshot is removed.
        "CREATE INDEX stand_ins_by_name ON stand_ins (stand_in)",
    ),
)
"""Statements of each schema version, the first is version 1."""

VERSIONS: Final = """
    CREATE TABLE IF NOT EXISTS migrations (
        -- Version that the schema had afterwards.
        version INTEGER PRIMARY KEY,
        -- When that was, in nanoseconds since the epoch.
        applied INTEGER NOT NULL
    )
"""
