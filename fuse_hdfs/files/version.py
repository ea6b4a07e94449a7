"""One file of a volume as it is at a time. Records."""

from dataclasses import dataclass

from fuse_hdfs.files.held import Held
from fuse_hdfs.stores.store import Status
from fuse_hdfs.striping.layout import Manifest


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory of a volume."""

    status: Status
    """Of the directory, the plain file or the manifest."""
    size: int
    """Bytes of the file as its readers see it."""
    striped: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a file, all of it. It never changes."""

    entry: Entry
    manifest: Manifest | None
    """None: a plain file."""
    held: Held | None = None
    """All of a small plain file, as long as there is room for that."""
    fresh: bool = False
    """We made it, empty, and nothing has been done to it since."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.entry.size
