"""The fronts of files: is a file of the store a manifest, and how large is the file that it is of.

Race-free: one event loop's thread. What is known belongs to an identity, which never changes.
"""

import errno
import logging
from typing import Final

from cachetools import LRUCache

from bootseer.errors import CorruptError
from fuse_hdfs import limits
from fuse_hdfs.files.labels import Kind, kind_in
from fuse_hdfs.stores.store import Status, Store
from fuse_hdfs.striping.manifest import FRONT, size_in_front

log = logging.getLogger(__name__)

_MOST: Final = 100_000


class Fronts:
    """What is known of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: LRUCache[str, int | None] = LRUCache(_MOST)

    def learn(self, status: Status, size: int | None) -> None:
        """Note the size of the striped file that a file of the store is of; None: it is plain."""
        self._sizes[status.identity] = size

    async def size(self, path: str, status: Status) -> int | None:
        """Return the size of a striped file; None if it is plain.

        What its label does not say is looked up in its front, once for each identity.
        """
        if not FRONT <= status.size <= limits.MANIFEST:
            return None
        if status.identity not in self._sizes:
            kind = kind_in(status.label, status.size)
            if kind is None:
                front = await self._store.read(path, 0, FRONT, of=status)
                kind = Kind(size_of(path, front))
            self._sizes[status.identity] = kind.size
        return self._sizes[status.identity]


def size_of(path: str, front: bytes) -> int | None:
    """Return the size of the striped file whose manifest begins so; None: a plain file's bytes."""
    try:
        return size_in_front(front)
    except CorruptError as error:
        raise damaged(path, error) from error


def damaged(path: str, error: CorruptError) -> OSError:
    """Return the I/O error for a damaged file, and log what is wrong with it."""
    log.error("file.damaged", extra={"fields": {"path": path, "reason": error.message}})
    return OSError(errno.EIO, error.message, path)
