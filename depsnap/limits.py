"""Limits on what a snapshot may say, and on what goes into a key. Exceeding one is an error.

A snapshot is bytes from a store that others may write to: a reader checks it against these before
it allocates anything of a size that the bytes name.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on untrusted input. Sizes in bytes unless the name says otherwise."""

    head: int = 8 << 20
    """The head of a snapshot."""
    tree_stored: int = 128 << 20
    """The tree of a snapshot, compressed."""
    tree: int = 1 << 30
    """The tree of a snapshot."""
    entries: int = 4_000_000
    """Names in one snapshot (a count)."""
    packs: int = 100_000
    """Packs of one snapshot (a count)."""
    frames: int = 1_000_000
    """Frames of one pack (a count)."""
    frame: int = 16 << 20
    """One frame of a pack, uncompressed."""
    frame_stored: int = 17 << 20
    """One frame of a pack as it is stored."""
    file: int = 1 << 40
    """One file, holes included."""
    name: int = 255
    """One name in a directory (NAME_MAX)."""
    path: int = 4095
    """A path (PATH_MAX without its end)."""
    symlink: int = 4095
    """A symlink's target."""
    xattrs: int = 64
    """Extended attributes of one entry (a count)."""
    xattr_value: int = 64 << 10
    """One extended attribute's value."""
    extents: int = 1_000_000
    """Pieces of data of one sparse file (a count)."""
    roots: int = 64
    """Directories that a snapshot is of (a count)."""
    title: int = 256
    """What a pack is called, in characters."""
    ingredients: int = 4_096
    """Ingredients of one key (a count)."""
    detail_lines: int = 2_000
    """Lines that are kept of one ingredient, for people to compare (a count)."""
    detail_line: int = 300
    """One such line, in characters."""
    words: int = 4_096
    """Words of a command (a count)."""
    word: int = 128 << 10
    """One word of a command, in characters (what Linux takes)."""
    snapshots: int = 10_000
    """Snapshots of one name, or names, that are looked at (counts)."""
    input_files: int = 4_096
    """Files that one command reads, as far as they are part of its key (a count)."""
    input_bytes: int = 4 << 30
    """Bytes of those files together."""
    requirements: int = 16 << 20
    """One requirements file."""


DEFAULT = Limits()
