"""Mounts dependency snapshots for who asks, and takes down what nobody uses any more.

A snapshot's image is made present and mounted like a layer, its start is recorded or prefetched
like a container's, and overlays over it are put into the asker's mount namespace.

Race-free: the event loop's thread only. An area is kept before the mounts that it names are made,
and until no overlay uses it; whatever is named by an area is in use (`in_use`), so that nothing is
removed below a mount that is being made.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from bootseer.errors import BootseerError, CorruptError, HostError, NotFoundError, UsageError
from depsnap.mounting.image import image_digest
from depsnap.mounting.points import SOURCE
from depsnap.snapshots.head import Head
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.names import tree_name
from snapshotter.blocks.names import LayerName, name_of
from snapshotter.dependencies import helper
from snapshotter.dependencies.areas import Covered, CoveredAreas
from snapshotter.dependencies.counters import DependencyNumbers, MountCounters
from snapshotter.dependencies.files import Made, check_file, make_files, read_parts
from snapshotter.dependencies.grants import Grant
from snapshotter.dependencies.hot import reference_of
from snapshotter.dependencies.packs import Stores
from snapshotter.dependencies.peers import Peer, RefusedError, own_users
from snapshotter.dependencies.requests import MountRequest
from snapshotter.ports import ImageKey
from snapshotter.serving.layout import LayerRecord, Layout
from snapshotter.serving.provider import Provider
from snapshotter.serving.workers import Workers
from snapshotter.snapshots.ports import StartRequest
from snapshotter.starts.service import Starts

log = logging.getLogger(__name__)

SNAPSHOT: Final = "dependencies"
"""`LayerRecord.kind` of our images."""
_ROUND_S: Final = 10.0
_MOST_IN_SPACE: Final = 16
"""Areas that one namespace of a container may have."""
_TMPFS: Final = "mode=700,nr_inodes=1m"
_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class Mounted:
    """What came of a request."""

    stored: Stored
    points: tuple[str, ...]
    """Directories that are covered, without the slash in front."""
    loose: int
    """Entries of the snapshot outside of them, which are left to be unpacked."""


class Dependencies:
    """The dependency snapshots of a node."""

    def __init__(
        self,
        layout: Layout,
        provider: Provider,
        starts: Starts,
        workers: Workers,
        stores: Stores,
        store: str,
        *,
        fresh: bool,
    ) -> None:
        """`store`: address of the node's own store; `fresh`: the FUSE connection is new."""
        self._layout = layout
        self._provider = provider
        self._starts = starts
        self._workers = workers
        self._stores = stores
        self._store = store
        self._areas = CoveredAreas(layout.covered)
        self._connection = self._areas.connection(fresh=fresh)
        self._busy: set[str] = set()
        self._users = own_users()
        self.counters = MountCounters()

    def in_use(self) -> set[str]:
        """Return the mounts that are below somebody's overlays (text forms of `MountId`)."""
        return self._areas.layers()

    async def mount(self, asked: MountRequest, peer: Peer, grant: Grant) -> Mounted:
        """Mount the newest snapshot of a key over directories of whoever asks.

        Raises:
            RefusedError: he may not have it.
            NotFoundError: there is none, or none that is fresh.
            BootseerError: it cannot be mounted; nothing is.
        """
        self._check(asked, peer, grant)
        async with helper.started(peer) as hands:
            return await self._mount(asked, peer, grant, hands)

    async def _mount(
        self, asked: MountRequest, peer: Peer, grant: Grant, hands: helper.Helper
    ) -> Mounted:
        began = time.monotonic()
        address = asked.store if grant.any_store and asked.store else self._store
        stored = await self._find(asked, address)
        image = ImageKey(reference_of(address, asked.name), image_digest(stored.head))
        # It waits for the lock under which the image is made, which is taken before it runs.
        self._starts.expect(image)
        name = await self._present(stored.head, address)
        parts = await asyncio.to_thread(read_parts, self._layout.layer(name))
        if parts.points:
            covered = Covered(asked.name, peer.space, grant.container, parts.points, (name,))
            await self._cover(covered, image, hands)
        await Library(await self._stores.at(address)).note_use(stored, time.time())
        fields = {
            "name": asked.name,
            "key": asked.key,
            "container": grant.container,
            "points": len(parts.points),
            "loose": parts.loose,
            "ms": round(1000 * (time.monotonic() - began)),
        }
        log.info("deps.mounted", extra={"fields": fields})
        return Mounted(stored, parts.points, parts.loose)

    def _check(self, asked: MountRequest, peer: Peer, grant: Grant) -> None:
        grant.check(asked)
        if peer.uid != _ROOT or peer.users != self._users:
            raise RefusedError("only root of the node's own user namespace may mount")
        if grant.container and self._areas.in_space(peer.space) >= _MOST_IN_SPACE:
            raise RefusedError(f"{_MOST_IN_SPACE} snapshots are mounted there already")

    async def _find(self, asked: MountRequest, address: str) -> Stored:
        library = Library(await self._stores.at(address))
        stored = await library.newest(asked.name, asked.key, asked.digest)
        if stored is None:
            raise NotFoundError(f"there is no snapshot of {asked.name} for key {asked.key[:12]}")
        until = stored.head.fresh_until
        wanted = asked.stale or asked.digest
        if until is not None and until <= time.time() and not wanted:
            raise NotFoundError(f"the snapshot of {asked.name} is not fresh any more")
        if stored.head.roots != asked.roots:
            raise UsageError(f"the snapshot is of {', '.join(stored.head.roots)}")
        return stored

    async def _present(self, head: Head, address: str) -> LayerName:
        """Return the name of a snapshot's image, which is on this node."""
        digest = image_digest(head)
        name = name_of(digest, digest)

        async def make(directory: Path) -> LayerRecord:
            store = await self._stores.at(address)
            tree = await store.read(tree_name(head.tree), 0, head.tree_size)
            if hashlib.sha256(tree).hexdigest() != head.tree:
                raise CorruptError(f"tree {head.tree} has other bytes than its name says")
            made = await checked(
                self._workers.quick(check_file, tree, head.roots),
                self._workers.quick(make_files, tree, digest, head.roots, directory),
            )
            return LayerRecord(
                layer_digest=digest,
                index_digest=digest,
                sources=(address,),
                windows_digest="",
                size=made.size,
                inodes=made.inodes,
                two_faced=False,
                merkle_root=made.merkle_root,
                index_file_digest=digest,
                kind=SNAPSHOT,
            )

        await self._provider.making.obtain(name, digest, address, make)
        return name

    async def _cover(self, covered: Covered, image: ImageKey, hands: helper.Helper) -> None:
        natural = covered.layers[0]
        try:
            number = self._areas.begin(covered)
        except OSError as error:
            raise HostError(f"{self._layout.covered}: {error.strerror}") from error
        self._busy.add(number)
        made: list[str] = []
        try:
            await self._provider.ensure(natural)
            chosen = await self._chosen(number, natural, image)
            made = await hands.cover(
                self._provider.path(chosen),
                f"{SOURCE}{natural}-{self._connection}",
                covered.points,
                self._areas.path(number),
                _TMPFS if covered.container else "",
            )
        finally:
            self._busy.discard(number)
            if not made:
                await self._end(number)

    async def _chosen(self, number: str, natural: str, image: ImageKey) -> str:
        """Return the mount that the overlays are made with: recorded, with hot blocks, or as is."""
        start = StartRequest(image.reference, image.manifest_digest, (natural,), {})
        stand_ins = await self._starts.stand_ins(start)
        chosen = stand_ins.get(natural, natural)
        if chosen != natural:
            self._areas.add_layers(number, chosen)
        return chosen

    async def unmount(self, roots: tuple[str, ...], peer: Peer) -> list[str]:
        """Uncover directories of whoever asks; return those that were covered.

        Raises:
            RefusedError: he may not.
            HostError: one is in use.
        """
        if peer.uid != _ROOT or peer.users != self._users:
            raise RefusedError("only root of the node's own user namespace may unmount")
        points = {root.strip("/") for root in roots}
        points |= {
            point
            for one in self._areas.all().values()
            if one.space == peer.space
            for point in one.points
            if "" in points or any(point.startswith(f"{root}/") for root in points)
        }
        async with helper.started(peer) as hands:
            done = await hands.uncover(sorted(points - {""}))
        if done:
            await self.collect()
        return done

    async def run(self) -> None:
        """Look for what nobody uses any more, until cancelled."""
        await asyncio.to_thread(self._areas.remove_rubbish)
        while True:
            await self._guarded(self.collect)
            await asyncio.sleep(_ROUND_S)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (BootseerError, OSError) as error:
            log.warning("deps.upkeep_failed", extra={"fields": {"reason": str(error)}})
        except Exception:
            log.exception("deps.bug")

    async def collect(self) -> None:
        """Take down what nobody uses any more."""
        looked = [number for number in self._areas.all() if number not in self._busy]
        if not looked:
            return
        async with helper.started() as hands:
            unused = await hands.unused([self._areas.path(number) for number in looked])
        for path in unused:
            if path.name not in self._busy and path.name in self._areas.all():
                await self._end(path.name)

    async def _end(self, number: str) -> None:
        covered = await asyncio.to_thread(partial(self._areas.end, number))
        fields = {"name": covered.name, "container": covered.container}
        log.info("deps.unmounted", extra={"fields": fields})
        for layer in covered.layers:
            if layer not in self._areas.layers():
                await self._starts.release(layer)

    def numbers(self) -> DependencyNumbers:
        """Return what was counted so far."""
        return DependencyNumbers(len(self._areas), self.counters)

    def describe(self) -> list[dict[str, Any]]:
        """Return what is mounted, for people and tools."""
        return [
            {
                "name": one.name,
                "container": one.container,
                "points": [f"/{point}" for point in one.points],
                "layer": one.layers[0],
            }
            for one in self._areas.all().values()
        ]


async def checked(check: Awaitable[None], making: Awaitable[Made]) -> Made:
    """Return what was made while it was checked. What the check raises comes first.

    Both are waited for, whatever becomes of the other: who has failed removes what was written.
    """
    wrong, made = await asyncio.gather(check, making, return_exceptions=True)
    if wrong is not None:
        raise wrong
    if isinstance(made, BaseException):
        raise made
    return made
