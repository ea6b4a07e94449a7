"""From the configuration's `hot.store` to the store."""

import contextlib
import os
from collections.abc import AsyncIterator

from bootseer.blobs.addresses import directory_at
from bootseer.blobs.directory import DirectoryBlobs
from bootseer.blobs.webhdfs import open_webhdfs
from bootseer.errors import UsageError
from bootseer.hadoop.client import read_client
from bootseer.webhdfs.address import parse_address
from snapshotter.hotstore.blobs import BlobHotStore
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.ports import HotStore
from snapshotter.registry.client import RegistryClient


@contextlib.asynccontextmanager
async def open_hot_store(place: str, client: RegistryClient) -> AsyncIterator[HotStore]:
    """Open the store that a configuration names; usable inside the context only.

    Raises:
        UsageError: it names none.
    """
    if place == "registry":
        yield RegistryHotStore(client)
    elif (path := directory_at(place)) is not None:
        yield BlobHotStore(DirectoryBlobs(path), client.settings.limits)
    elif place.startswith(("hdfs:", "webhdfs:", "swebhdfs:")):
        hadoop = read_client(os.environ)
        where = parse_address(place, hadoop.user, hadoop.site)
        async with open_webhdfs(where) as store:
            yield BlobHotStore(store, client.settings.limits)
    else:
        raise UsageError(
            f"hot.store: {place!r} is no store",
            hint="registry, file:///directory or hdfs://nameservice/directory",
        )
