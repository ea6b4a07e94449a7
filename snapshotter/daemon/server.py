"""The server: builds the graph of services, runs them, takes them down. No logic of its own.

    containerd --gRPC--> service -> snapshots -> serving (provider) -> images, workers, erofs
    kernel -----FUSE---> blocks -> serving (files) -> chunks -> registry

Run by the keeper, which hands over the FUSE connection: `python -m snapshotter.daemon --config FILE
--handover SESSION:DEVICE:STATE:KEPT --keeper PID`.
"""

import argparse
import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Final

import bootseer
from bootseer import logs
from bootseer.config import Config, load
from bootseer.errors import BootseerError, first_error
from bootseer.events.surroundings import stages_of
from bootseer.open_files import allow_many
from bootseer.service_manager import notify
from snapshotter.blocks.pagecache import PageCache
from snapshotter.blocks.takeover import LAST_CONFIG, Handover
from snapshotter.blocks.turn import await_turn
from snapshotter.caching.keeping import CacheKeeping
from snapshotter.caching.scrub import Scrub
from snapshotter.chunks.flights import Services
from snapshotter.chunks.turns import Turns
from snapshotter.chunks.windows import new_cache
from snapshotter.containers.happenings import Happenings
from snapshotter.containers.lookup import connected
from snapshotter.daemon.connection import FUSE_GONE, FuseGoneError, serve_blocks
from snapshotter.daemon.ground import made_layout, needs_loop, set_fuse_read_ahead
from snapshotter.daemon.lastconfig import keep, load_or_last
from snapshotter.daemon.sides import container_report, serve_sides
from snapshotter.daemon.wishes import (
    cache_bounds,
    fetch_policy,
    fill_rules,
    making_policy,
    mount_policy,
    settings,
)
from snapshotter.dependencies.containers import node_grant
from snapshotter.dependencies.hot import HotOfAll, Present, is_snapshot
from snapshotter.dependencies.packs import SnapshotOpener, opened_stores
from snapshotter.dependencies.service import SNAPSHOT, Dependencies
from snapshotter.heap import keep_freed_memory
from snapshotter.hotstore.places import open_hot_store
from snapshotter.images.made import MadeIndexes
from snapshotter.images.published import PublishedImages
from snapshotter.images.trusting import trust_rules
from snapshotter.linking.following import following
from snapshotter.metrics.collect import Counted
from snapshotter.metrics.report import NodeReport
from snapshotter.parent import die_with_parent
from snapshotter.ports import MirroredSource
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.configure import client_settings
from snapshotter.registry.logins.remembered import Keepsake, RememberedPulls
from snapshotter.registry.repository import RepositoryAccess
from snapshotter.service.cache import cache_routes
from snapshotter.service.containers import container_routes
from snapshotter.service.dependencies import dependency_routes
from snapshotter.service.server import serve
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.fill import Fill
from snapshotter.serving.making import Making
from snapshotter.serving.poison import Poisoned
from snapshotter.serving.provider import open_provider
from snapshotter.serving.publisher import Publisher
from snapshotter.serving.shelf import Shelf
from snapshotter.serving.sources import FirstOf
from snapshotter.serving.upkeep import Upkeep
from snapshotter.serving.workers import Workers
from snapshotter.snapshots.core import Snapshotter
from snapshotter.starts.assembly import Around, open_blocks, open_recordings, open_starts
from snapshotter.starts.service import Starts
from snapshotter.tasks import Tasks, contained
from snapshotter.tracing.export import Exporter
from snapshotter.tracing.spans import Tracer

log = logging.getLogger(__name__)

_WARM_S: Final = 10.0


async def run(path: Path, config: Config, handover: Handover) -> None:
    """Serve until SIGTERM or SIGINT; `config` is what the file at `path` says, or said.

    Raises:
        FuseGoneError: the FUSE connection was aborted or unmounted.
        BootseerError: it cannot be served with this configuration on this machine.
    """
    stop = stop_signal()
    if not await await_turn(handover, stop):
        return
    config = newest(path, config)
    layout = made_layout(config.root)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        executor = stack.enter_context(ThreadPoolExecutor(os.cpu_count(), "chunk"))
        workers = stack.enter_context(closing(Workers(quick=2)))
        tasks = Tasks(group)
        stack.callback(tasks.cancel)
        warming = asyncio.create_task(contained(workers.warm()))
        pulls = RememberedPulls(None if handover.kept is None else Keepsake(handover.kept))
        registry = client_settings(config.registry, pulls)
        client = await stack.enter_async_context(RegistryClient(registry))
        images = PublishedImages(
            client, sources=config.index.sources, trust=trust_rules(config.trust)
        )
        publisher = Publisher(layout, MadeIndexes(client, images))
        job = partial(RepositoryAccess, registry)

        async def used() -> set[str]:
            return await core.layers_in_use() | dependencies.in_use()

        tracer = Tracer(on=bool(config.traces.otlp))
        stores = await stack.enter_async_context(
            opened_stores(config.deps.timeout, config.registry)
        )
        recordings = open_recordings(layout, config.hot)
        files = LayerFiles(
            layout,
            partial(first_of, images),
            Services(
                Turns(executor),
                tasks.spawn,
                fetch_policy(config),
                tracer=tracer,
            ),
            following(tasks.spawn, config.fetch.linked),
            new_cache(),
            {SNAPSHOT: SnapshotOpener(stores)},
            PageCache(layout.blocks) if config.hot.page_cache else None,
            recordings.faces,
        )
        blocks = open_blocks(layout, files, recordings, config.hot)
        await stack.enter_async_context(serve_blocks(blocks, handover, group))
        set_fuse_read_ahead(layout, config.fuse.read_ahead_kb)
        poisoned = Poisoned(config.root)
        provider = open_provider(
            Shelf(layout, files),
            partial(
                Making,
                images=images,
                workers=workers,
                policy=making_policy(config),
                ingest_job=job,
                poisoned=poisoned,
                unpacked=publisher.look,
            ),
            blocks.files,
            workers,
            mount_policy(config, via_loop=await asyncio.to_thread(needs_loop, config)),
            used,
        )
        stages = stages_of(os.environ, config.events.path)
        starts = open_starts(
            Around(layout, files, workers, tasks.spawn, stages),
            blocks,
            provider,
            Present(provider.making),
            HotOfAll(
                await stack.enter_async_context(open_hot_store(config.hot.store, client)), stores
            ),
            config.hot,
            is_snapshot,
        )
        dependencies = Dependencies(
            layout,
            provider,
            starts,
            workers,
            stores,
            config.deps.store,
            fresh=handover.fresh,
        )
        containers = await stack.enter_async_context(connected(config.containerd))
        core = await Snapshotter.open(config.root, starts, settings(config), containers)
        stack.push_async_callback(core.close)
        await provider.mounted.drop(provider.mounted.adopt(fresh=handover.fresh))
        upkeep = Upkeep(
            layout,
            files,
            workers,
            provider.retention.collect,
            provider.mounted.remount,
            job,
            poisoned,
            config.cache.flush_interval,
            config.cache.check_after,
        )
        keeping = CacheKeeping(layout, files, provider.retention, cache_bounds(config))
        fill = Fill(
            files,
            config.root,
            fill_rules(config),
            starts.is_prefetching,
            lambda: keeping.is_crowded,
        )
        report = NodeReport(
            Counted(
                files,
                starts,
                fill,
                upkeep,
                poisoned,
                blocks.page_cache,
                client.statistics,
                dependencies,
            ),
            used,
        )
        for service in (
            upkeep,
            keeping,
            starts,
            blocks.watcher,
            fill,
            dependencies,
            Happenings(config.containerd, stages),
            Exporter(tracer, config.traces.otlp, bootseer.__version__),
            publisher,
        ):
            tasks.spawn(service.run())

        health = await stack.enter_async_context(serve(core, config.address, tracer=tracer))
        await stack.enter_async_context(
            serve_sides(
                config,
                report,
                dependencies,
                containers,
                [
                    *dependency_routes(dependencies, node_grant),
                    *container_routes(partial(container_report, containers, core, files)),
                    *cache_routes(keeping, Scrub(layout, files, provider.retention, workers)),
                ],
                lambda: health.ready,
                pulls,
            )
        )
        health.set_ready()
        tasks.spawn(mount_again(core, starts, used))
        await announce(path, config, warming)
        await stop.wait()
        notify("STOPPING=1")
        tasks.cancel()
        await files.flush()
        await starts.close()
        await stack.aclose()


def newest(path: Path, config: Config) -> Config:
    """Return the configuration as it is now: we may have waited long for our turn.

    As it was where it cannot be used any more: a server that died is no moment to refuse.
    """
    try:
        return load(path)
    except BootseerError as error:
        log.warning("config.unusable", extra={"fields": {"path": path, "reason": error.message}})
        return config


def first_of(images: PublishedImages, references: Sequence[str]) -> MirroredSource:
    """Return blobs from the first of some images' repositories that has them."""
    return FirstOf([images.blobs(reference) for reference in references])


async def mount_again(
    core: Snapshotter, starts: Starts, used: Callable[[], Awaitable[set[str]]]
) -> None:
    """Mount what was mounted before a reboot; who needs a layer sooner does not wait for that."""
    began = time.monotonic()
    await core.restore()
    await starts.restore(await used())
    fields = {"seconds": round(time.monotonic() - began, 1)}
    log.info("daemon.restored", extra={"fields": fields})


async def announce(path: Path, config: Config, warming: "asyncio.Task[None]") -> None:
    """Tell the service manager, and the log, that we serve, once `warming` is done; then keep the
    configuration for a successor.

    Whoever waits for us gets a first pull that does not wait for programs to be loaded.
    """
    await asyncio.wait([warming], timeout=_WARM_S)
    notify("READY=1")
    log.info("daemon.serving", extra={"fields": {"address": str(config.address)}})
    await asyncio.to_thread(keep, path, config, config.root / LAST_CONFIG)


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def main() -> int:
    """Run the server as the keeper starts it; return the exit code (see `docs/cli.md`)."""
    parser = argparse.ArgumentParser(prog="bootseer-server")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--last", type=Path, metavar="FILE", help="for an unusable one")
    parser.add_argument("--handover", type=Handover.parse, required=True)
    parser.add_argument("--keeper", type=int, required=True)
    arguments = parser.parse_args()
    if not die_with_parent(signal.SIGTERM, arguments.keeper):
        return 1  # it ended before we began: its successor has a server of its own
    arguments.handover.close_on_exec()
    keep_freed_memory()
    allow_many()
    try:
        config = load_or_last(arguments.config, arguments.last)
        logs.set_up(config.log.level, config.log.format)
        asyncio.run(run(arguments.config, config, arguments.handover))
    except (BootseerError, BaseExceptionGroup) as error:
        return report(error)
    return 0


def report(error: BaseException) -> int:
    """Say why the server ends; return its exit code. Raise what is a bug."""
    cause = first_error(error)
    if not isinstance(cause, BootseerError):
        raise error
    log.critical("daemon.failed", extra={"fields": {"reason": str(cause)}})
    return FUSE_GONE if isinstance(cause, FuseGoneError) else os.EX_CONFIG
