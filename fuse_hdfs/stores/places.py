"""Addresses to stores: which kind, and opened."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bootseer.errors import NotFoundError, UsageError
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.stores.store import Store


@contextlib.asynccontextmanager
async def open_store(address: str, patience: float = 60.0) -> AsyncIterator[Store]:
    """Open the store at `file:///directory`; a call may take `patience` seconds.

    Raises:
        UsageError: it is no such address.
        NotFoundError: there is no such directory.
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        root = Path(unquote(parts.path))
        if not root.is_dir():
            raise NotFoundError(f"{root} is no directory")
        yield DirectoryStore(root, patience)
    else:
        raise UsageError(f"{address!r} is no address of a store", hint="file:///directory")
