"""Addresses to stores: which kind, and opened."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bootseer.errors import NotFoundError, UsageError
from bootseer.hadoop.client import HadoopClient, read_client
from fuse_hdfs.stores.directory import DirectoryStore
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.transports import Transport, open_hdfs


@contextlib.asynccontextmanager
async def open_store(
    address: str,
    patience: float = 60.0,
    client: HadoopClient | None = None,
    transport: Transport = "auto",
) -> AsyncIterator[Store]:
    """Open the store at an address; a call may take about `patience` seconds.

    `file:///directory`, `hdfs://[user@]nameservice/directory`, or
    `webhdfs://[user@]namenode:9870/directory`. `client`: who we are for HDFS and what is configured
    of it; without it, what the environment says. `transport`: how HDFS is reached.

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
    elif parts.scheme in {"hdfs", "webhdfs", "swebhdfs"}:
        client = client or read_client(os.environ)
        async with open_hdfs(address, client, patience, transport) as store:
            yield store
    else:
        raise UsageError(
            f"{address!r} is no address of a store",
            hint="file:///directory, hdfs://nameservice/directory, "
            "webhdfs://namenode:9870/directory or swebhdfs://namenode:9871/directory",
        )
