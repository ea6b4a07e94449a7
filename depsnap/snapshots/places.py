"""From the address of a store to the store."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bootseer.blobs.addresses import directory_at
from bootseer.blobs.directory import DirectoryBlobs
from bootseer.blobs.store import BlobStore
from bootseer.config import Registry
from bootseer.errors import UsageError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is, and how long it is waited for."""

    address: str
    """`file:///directory`, `hdfs://nameservice/directory`, `webhdfs://namenode:9870/directory` or
    `oci://host/repository`."""
    patience: float = 60.0
    """Seconds that one access may take, besides the time for its data. For a registry what its own
    settings say counts."""
    registry: Registry = field(default_factory=Registry)
    """How registries are reached."""


@contextlib.asynccontextmanager
async def open_store(place: Place) -> AsyncIterator[BlobStore]:
    """Open a store; usable inside the context only. Nothing is asked yet.

    Raises:
        UsageError: it is no such address, or Hadoop's configuration makes no sense.
    """
    address = place.address
    if (path := directory_at(address)) is not None:
        yield DirectoryBlobs(path, place.patience)
    elif address.startswith(("webhdfs:", "swebhdfs:", "hdfs:")):
        # aiohttp takes longer to import than everything else that a hit needs.
        from bootseer.blobs.webhdfs import open_webhdfs  # noqa: PLC0415
        from bootseer.hadoop.client import read_client  # noqa: PLC0415
        from bootseer.webhdfs.address import parse_address  # noqa: PLC0415
        from bootseer.webhdfs.calls import Patience  # noqa: PLC0415

        client = read_client(os.environ)
        half = place.patience / 2
        patience = Patience(min(10.0, half), stall=half, call=place.patience, attempts=2)
        where = parse_address(address, client.user, client.site)
        async with open_webhdfs(where, patience) as store:
            yield store
    elif address.startswith("oci:"):
        from depsnap.registry.store import open_registry  # noqa: PLC0415 (likewise)

        async with open_registry(address, place.registry) as store:
            yield store
    else:
        raise UsageError(
            f"{address!a} is no store of snapshots",
            hint="file:///directory, hdfs://nameservice/directory, "
            "webhdfs://namenode:9870/directory or oci://host/repository",
        )
