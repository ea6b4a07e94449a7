"""Where a mount's metrics are had: on a socket beside its lock, and over TCP if that is asked for.

They are an extra: what fails here is a line in the log, and the mount serves without them.
"""

import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from bootseer.metrics.exposition import render
from bootseer.metrics.serving import metrics_route, serve_metrics, serve_socket
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.metrics.families import families
from fuse_hdfs.metrics.numbers import Start, collect
from fuse_hdfs.vfs.tree import Tree

log = logging.getLogger(__name__)


def metrics_socket(run_dir: Path, minor: str) -> Path:
    """Return where the mount with this number of a FUSE connection serves its metrics."""
    return run_dir / f"mount-{minor}.sock"


@contextlib.asynccontextmanager
async def reported(
    volume: Volume, tree: Tree, start: Start, socket: Path, address: str
) -> AsyncIterator[None]:
    """Serve metrics while the context is open; `address`: `host:port`, or empty."""

    async def metrics() -> str:
        return render(families(collect(volume, tree, start)))

    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(serve_socket(socket, [metrics_route(metrics)]))
            stack.callback(socket.unlink, missing_ok=True)
        except OSError as error:
            fields = {"socket": str(socket), "reason": str(error)}
            log.warning("metrics.not_served", extra={"fields": fields})
        await stack.enter_async_context(serve_metrics(address, metrics))
        yield
