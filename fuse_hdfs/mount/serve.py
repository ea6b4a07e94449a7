"""Puts a mount together, serves it until it is told to stop, and takes it down."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyfuse3
import pyfuse3.asyncio

from bootseer import kernel
from bootseer.errors import HostError
from fuse_hdfs.files.volume import Settings, Volume
from fuse_hdfs.mount.operations import MountOperations
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.vfs.tree import Tree

log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_DRAIN_S: Final = 60.0
"""How long stopping may take to publish what is not published yet."""


@dataclass(frozen=True, slots=True)
class MountSettings:
    """How a mount behaves."""

    spool: Path
    """Directory of this machine for writes in any order until they are published."""
    volume: Settings = field(default_factory=Settings)
    read_ahead_kb: int = 4096
    """Read-ahead of the kernel; it also makes its requests larger."""
    timeout: float = 60.0
    """Seconds that the store may take for one call."""


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
        NotFoundError, RemoteError: what it names is not there or does not answer.
        HostError: the kernel does not mount it.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_store(address, settings.timeout) as store:
        volume = Volume(store, settings.volume)
        tree = Tree(volume, settings.spool)
        async with _connected(tree, address, mountpoint) as ended:
            _set_read_ahead(mountpoint, settings.read_ahead_kb)
            log.info("mount.serving", extra={"fields": {"store": address, "at": str(mountpoint)}})
            mounted()
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((stopped, ended), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
        try:
            async with asyncio.timeout(_DRAIN_S):
                await tree.close()
        except TimeoutError:
            log.error("mount.not_drained", extra={"fields": {"seconds": _DRAIN_S}})
        await volume.close()
    log.info("mount.ended", extra={"fields": {"at": str(mountpoint)}})


@contextlib.asynccontextmanager
async def _connected(
    tree: Tree, address: str, mountpoint: Path
) -> AsyncIterator["asyncio.Task[None]"]:
    """Mount, and unmount at the end; yields the task that answers the kernel."""
    connected = asyncio.Event()
    options = {*pyfuse3.default_options, "allow_other", "subtype=bootseer-hdfs"}
    options.add(f"fsname={address.replace(',', '%2c')}")
    pyfuse3.asyncio.enable()
    try:
        pyfuse3.init(MountOperations(tree, connected.set), str(mountpoint), options)
    except RuntimeError as error:
        raise HostError(
            f"cannot mount on {mountpoint}", hint="is it an empty directory?"
        ) from error
    try:
        serving = asyncio.create_task(pyfuse3.main())
        async with asyncio.timeout(_CONNECT_S):
            await connected.wait()
        yield serving
        pyfuse3.terminate()
        await asyncio.wait((serving,), timeout=_CONNECT_S)
    finally:
        # A busy mount goes lazily: who has files open gets errors from now on, and does not hang.
        await asyncio.to_thread(kernel.unmount, str(mountpoint), lazy=True)
        pyfuse3.close(unmount=False)


def _set_read_ahead(mountpoint: Path, kilobytes: int) -> None:
    minor = kernel.connection_directory(mountpoint).name
    try:
        Path(f"/sys/class/bdi/0:{minor}/read_ahead_kb").write_text(str(kilobytes))
    except OSError as error:
        log.warning("mount.read_ahead_not_set", extra={"fields": {"reason": str(error)}})
