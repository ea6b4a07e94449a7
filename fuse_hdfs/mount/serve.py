"""Puts a mount together, serves it until it is told to stop, and takes it down."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyfuse3

from bootseer import kernel
from bootseer.errors import HostError, RemoteError
from bootseer.events.stages import SILENT, Stages
from bootseer.fuse_requests import stop_answering, use_asyncio
from bootseer.hadoop.client import HadoopClient
from bootseer.open_files import allow_many
from fuse_hdfs.files.kept import Keep
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.metrics.numbers import Start
from fuse_hdfs.mount.arena import use_one_arena
from fuse_hdfs.mount.openers import Openers
from fuse_hdfs.mount.operations import MountOperations
from fuse_hdfs.mount.presence import announced
from fuse_hdfs.mount.reporting import metrics_socket, reported
from fuse_hdfs.mount.unmounting import SUBTYPE
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.transports import Transport
from fuse_hdfs.vfs.tree import Tree

log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_REQUESTS: Final = 64
"""Requests of the kernel that are answered at once; each has memory for a write of 1 MiB. What the
kernel reads ahead, which is most of what it reads, it sends no more of at once: 12 would be its
default, and a thread that reads 4 MiB has four of them."""
_AGAIN_S: Final = 2.0
"""Between attempts to reach a store that is waited for."""
_DRAIN_S: Final = 60.0
"""How long stopping may take to publish what is not published yet."""


@dataclass(frozen=True, slots=True)
class MountSettings:
    """How a mount behaves."""

    spool: Path
    """Directory of this machine for what is not published yet."""
    keep: int = 1 << 30
    """Most bytes there of stripes that may have to be sent again, of all files together."""
    volume: Settings = field(default_factory=Settings)
    read_ahead_kb: int = 4096
    """Read-ahead of the kernel; it also makes its requests larger."""
    timeout: float = 60.0
    """Seconds that the store may take for one call."""
    run_dir: Path = Path("/run/bootseer")
    """Where it is said which process serves a mount."""
    wait: bool = False
    """Whether to wait for a store that cannot be reached yet."""
    read_only: bool = False
    metrics_address: str = ""
    """`host:port` where metrics are served over TCP too; empty: nowhere."""
    transport: Transport = "auto"
    """How HDFS is reached."""
    stages: Stages = SILENT
    """Told of the start."""
    client: HadoopClient | None = None
    """Who we are for HDFS and what is configured of it; None: what the environment says."""


async def serve(
    address: str,
    mountpoint: Path,
    settings: MountSettings,
    mounted: Callable[[], None] = lambda: None,
) -> None:
    """Serve a store at a mount point until SIGTERM, SIGINT or umount(8).

    `mounted` is called once programs can use it.

    Raises:
        UsageError: `address` makes no sense.
        NotFoundError, RemoteError: what it names is not there or does not answer. Where
            `settings` say to wait for that, it goes on as if nothing had been mounted yet.
        HostError: the kernel does not mount it.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    use_one_arena()
    allow_many()
    begun = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        starting = stack.enter_context(contextlib.ExitStack())
        stage = settings.stages.stage("hdfs.mount", store=address, at=str(mountpoint))
        found = starting.enter_context(stage)

        def ready(start: Start) -> None:
            found.update(store_s=round(start.store, 3), mount_s=round(start.mounted, 3))
            starting.close()
            mounted()

        store = await _opened(stack, address, settings, stop)
        if store is not None:
            took = time.monotonic() - begun
            await _serve(store, address, mountpoint, settings, stop, ready, took)
    log.info("mount.ended", extra={"fields": {"at": str(mountpoint)}})


async def _opened(
    stack: contextlib.AsyncExitStack, address: str, settings: MountSettings, stop: asyncio.Event
) -> Store | None:
    """Open the store; None if we are stopped while waiting for it."""
    while True:
        try:
            opening = open_store(address, settings.timeout, settings.client, settings.transport)
            return await stack.enter_async_context(opening)
        except RemoteError as error:
            if not (settings.wait and error.temporary):
                raise
            log.warning("mount.waiting", extra={"fields": {"reason": error.message}})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_S):
                await stop.wait()
            return None


async def _serve(
    store: Store,
    address: str,
    mountpoint: Path,
    settings: MountSettings,
    stop: asyncio.Event,
    ready: Callable[[Start], None],
    opening_s: float,
) -> None:
    begun = time.monotonic()
    volume = Volume(store, settings.volume, Keep(settings.spool, settings.keep))
    tree = Tree(volume, settings.spool)
    async with _connected(tree, address, mountpoint, settings) as ended:
        start = Start(opening_s, time.monotonic() - begun)
        socket = metrics_socket(settings.run_dir, kernel.connection_directory(mountpoint).name)
        async with reported(volume, tree, start, socket, settings.metrics_address):
            ready(start)
            fields = {"store": address, "at": str(mountpoint)}
            took = {"store_s": round(start.store, 3), "mount_s": round(start.mounted, 3)}
            log.info("mount.serving", extra={"fields": fields | took})
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((stopped, ended), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
    try:
        async with asyncio.timeout(_DRAIN_S):
            await tree.close()
    except TimeoutError:
        log.error("mount.not_drained", extra={"fields": {"seconds": _DRAIN_S}})
    await volume.close()


@contextlib.asynccontextmanager
async def _connected(
    tree: Tree, address: str, mountpoint: Path, settings: MountSettings
) -> AsyncIterator["asyncio.Task[None]"]:
    """Mount, and unmount at the end; yields the task that answers the kernel."""
    connected, openers = asyncio.Event(), Openers()
    options = {*pyfuse3.default_options, "allow_other", f"subtype={SUBTYPE}"}
    if settings.read_only:
        options.add("ro")
    options.add(f"fsname={address.replace(',', '%2c')}")
    use_asyncio()
    operations = MountOperations(tree, openers, connected.set)
    try:
        pyfuse3.init(operations, str(mountpoint), options)
    except RuntimeError as error:
        raise HostError(
            f"cannot mount on {mountpoint}", hint="is it an empty directory?"
        ) from error
    try:
        serving = asyncio.create_task(pyfuse3.main(max_tasks=_REQUESTS))
        async with asyncio.timeout(_CONNECT_S):
            await connected.wait()
        connection = kernel.connection_directory(mountpoint)
        openers.device = f"0:{connection.name}"
        _tune(connection, settings.read_ahead_kb)
        with _announced(settings.run_dir, connection):
            yield serving
            await stop_answering(serving, _CONNECT_S)
    finally:
        # A busy mount goes lazily: who has files open gets errors from now on, and does not hang.
        await asyncio.to_thread(kernel.unmount, str(mountpoint), lazy=True)
        pyfuse3.close(unmount=False)
        operations.close()


@contextlib.contextmanager
def _announced(run_dir: Path, connection: Path) -> Iterator[None]:
    """Say that we serve this mount, so that `bootseer hdfs umount` can ask us to stop."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(announced(run_dir, connection.name))
        except OSError as error:
            log.warning("mount.not_announced", extra={"fields": {"reason": str(error)}})
        yield


def _tune(connection: Path, read_ahead_kb: int) -> None:
    """Set what the kernel sends of at once; without that a mount is slower."""
    values = {
        Path(f"/sys/class/bdi/0:{connection.name}/read_ahead_kb"): read_ahead_kb,
        connection / "max_background": _REQUESTS,
        connection / "congestion_threshold": _REQUESTS,
    }
    for path, value in values.items():
        try:
            path.write_text(str(value))
        except OSError as error:
            fields = {"setting": str(path), "reason": str(error)}
            log.warning("mount.not_tuned", extra={"fields": fields})
