"""Addresses to stores: which kind, and opened."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from bootseer.errors import NotFoundError, UsageError
from bootseer.hadoop.client import HadoopClient, read_client
from bootseer.hadoop.site import Site
from bootseer.webhdfs.address import parse_address
from bootseer.webhdfs.calls import Patience
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.webhdfs import open_webhdfs

_REPLICATION: Final = "dfs.replication"
_MOST_COPIES: Final = 512


@contextlib.asynccontextmanager
async def open_store(
    address: str, patience: float = 60.0, client: HadoopClient | None = None
) -> AsyncIterator[Store]:
    """Open the store at an address; a call may take about `patience` seconds.

    `file:///directory`, `hdfs://[user@]nameservice/directory`, or
    `webhdfs://[user@]namenode:9870/directory`. `client`: who we are for HDFS and what is configured
    of it; without it, what the environment says.

    Raises:
        UsageError: it is no such address, or Hadoop's configuration makes no sense.
        NotFoundError: there is no such directory.
        RemoteError: HDFS does not answer, or refuses.
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        root = Path(unquote(parts.path))
        if not root.is_dir():
            raise NotFoundError(f"{root} is no directory")
        yield DirectoryStore(root, patience)
    elif parts.scheme in {"hdfs", "webhdfs"}:
        client = client or read_client(os.environ)
        where = parse_address(address, client.user, client.site)
        copies = _copies(client.site)
        async with open_webhdfs(where, _patience(patience), copies) as store:
            yield store
    else:
        raise UsageError(
            f"{address!r} is no address of a store",
            hint="file:///directory, hdfs://nameservice/directory or webhdfs://namenode:9870/directory",
        )


def _copies(site: Site) -> int | None:
    """Return how many copies of its blocks a new file is to have; None: as the cluster does.

    UsageError: it is no number.
    """
    text = site.get(_REPLICATION)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= _MOST_COPIES):
        raise UsageError(f"{_REPLICATION} is {text!r}", hint=f"a number from 1 to {_MOST_COPIES}")
    return int(text)


def _patience(seconds: float) -> Patience:
    """Return how long to wait so that two attempts that get no answer end in about `seconds`."""
    half = seconds / 2
    return Patience(min(10.0, half), stall=half, call=seconds, attempts=2, outage=seconds)
