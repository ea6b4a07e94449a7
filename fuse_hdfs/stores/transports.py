"""Which way a store in HDFS is reached: WebHDFS, or Hadoop's own protocol.

WebHDFS can say where files are and put them there, so it is taken wherever it works: at the
NameNode and at a DataNode. Where a site has closed it, hdfs-native is left, if it is installed.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from typing import Final, Literal, TypeAlias

from bootseer.errors import RemoteError, UsageError
from bootseer.hadoop.client import HadoopClient
from bootseer.hadoop.site import Site
from bootseer.webhdfs.address import HdfsAddress, parse_address
from bootseer.webhdfs.calls import Patience
from fuse_hdfs.stores.native import is_installed, open_native
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.webhdfs import open_webhdfs

log = logging.getLogger(__name__)

Transport: TypeAlias = Literal["auto", "webhdfs", "native"]

_REPLICATION: Final = "dfs.replication"
_MOST_COPIES: Final = 512
_PROBED: Final = 3
"""DataNodes of which one must be reachable."""
_PROBE_S: Final = 3.0


@contextlib.asynccontextmanager
async def open_hdfs(
    text: str, client: HadoopClient, patience: float, transport: Transport
) -> AsyncIterator[Store]:
    """Open the store at an `hdfs:`, `webhdfs:` or `swebhdfs:` address.

    Raises:
        UsageError: it is no such address, or the transport cannot be used for it.
        HostError: there is no ticket, or hdfs-native is not installed.
        NotFoundError, RemoteError: as `open_webhdfs`, `open_native`.
    """
    address = parse_address(text, client.user, client.site)
    if transport == "native" and not address.authority:
        raise UsageError(f"{text}: hdfs.transport native wants an hdfs: address")
    async with contextlib.AsyncExitStack() as stack:
        possible = bool(address.authority) and is_installed()
        if transport == "native":
            store: Store = await stack.enter_async_context(open_native(address, client, patience))
        elif transport == "webhdfs" or not possible:
            store = await stack.enter_async_context(_by_web(address, client, patience))
        else:
            store = await _probed(stack, address, client, patience)
        yield store


def _by_web(
    address: HdfsAddress, client: HadoopClient, patience: float
) -> contextlib.AbstractAsyncContextManager[Store]:
    return open_webhdfs(address, _waiting(patience), _copies(client.site))


def _waiting(seconds: float) -> Patience:
    """Return how long to wait so that two attempts that get no answer end in about `seconds`."""
    half = seconds / 2
    return Patience(min(10.0, half), stall=half, call=seconds, attempts=2, outage=seconds)


async def _probed(
    stack: contextlib.AsyncExitStack, address: HdfsAddress, client: HadoopClient, patience: float
) -> Store:
    """Open the store by WebHDFS if that works, else by hdfs-native.

    If neither works, what is raised is why WebHDFS does not.
    """
    async with contextlib.AsyncExitStack() as inner:
        try:
            store = await inner.enter_async_context(_by_web(address, client, patience))
        except RemoteError as error:
            closed = error
        else:
            if await _is_open(store):
                stack.push_async_callback(inner.pop_all().aclose)
                return store
            closed = RemoteError("no DataNode's HTTP port can be reached", temporary=True)
    try:
        native = await stack.enter_async_context(open_native(address, client, patience))
    except RemoteError as error:
        raise closed from error
    log.info("hdfs.native", extra={"fields": {"reason": closed.message}})
    return native


async def _is_open(store: Store) -> bool:
    """Return whether a DataNode's HTTP server can be reached; true if none is known."""
    try:
        places = await store.places()
    except OSError:
        return True  # the NameNode's servlet for that is closed, which says nothing of DataNodes
    some = random.sample(places, min(_PROBED, len(places)))
    return not some or any(await asyncio.gather(*map(_answers, some)))


async def _answers(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(_PROBE_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, ValueError):
        return False
    writer.close()
    return True


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
