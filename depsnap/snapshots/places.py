"""From the address of a store to the store."""

import contextlib
import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bootseer.blobs.directory import DirectoryBlobs
from bootseer.blobs.store import BlobStore
from bootseer.errors import UsageError


@contextlib.asynccontextmanager
async def open_store(address: str, patience: float = 60.0) -> AsyncIterator[BlobStore]:
    """Open the store at an address; usable inside the context only.

    `patience`: seconds that one access may take in a directory.

    Raises:
        UsageError: it names none.
    """
    if (path := _directory(address)) is not None:
        yield DirectoryBlobs(path, patience)
    elif address.startswith("webhdfs:"):
        # aiohttp takes longer to import than everything else that a hit needs.
        from bootseer.blobs.webhdfs import open_webhdfs  # noqa: PLC0415
        from bootseer.webhdfs.address import parse_address  # noqa: PLC0415

        async with open_webhdfs(parse_address(address, _user())) as store:
            yield store
    else:
        raise UsageError(
            f"{address!a} is no store of snapshots",
            hint="file:///directory or webhdfs://namenode:9870/directory",
        )


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _directory(address: str) -> Path | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    path = unquote(parts.path)
    plain = not (parts.netloc or parts.query or parts.fragment)
    absolute = path.startswith("/") and path.isprintable() and ".." not in path.split("/")
    return Path(path) if parts.scheme == "file" and plain and absolute else None
