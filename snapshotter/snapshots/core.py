"""The snapshotter: containerd's ten operations on snapshots, without its wire format.

Concurrency
    All state is in `State` and is touched in one thread of our own, one transaction after
    another. Between two of them anything may happen, so whatever a transaction relies on it looks
    up itself; what happens outside (mounting lazy layers, reading trees) concerns committed
    snapshots, which do not change. Prepares of the same image layer follow one another, so that a
    provider is asked once.
    Cancelling an operation leaves it done or not done: a transaction that has begun is finished.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeVar

from bootseer.errors import BootseerError, HostError, NotFoundError
from snapshotter.snapshots import directories, filters, idmap, mounts
from snapshotter.snapshots import labels as label_rules
from snapshotter.snapshots.deletion import delete
from snapshotter.snapshots.errors import ExistsError
from snapshotter.snapshots.lazy import LazyLayers, Patience
from snapshotter.snapshots.overlayfs import mount_options
from snapshotter.snapshots.ports import ContainerLabels, LayerProvider, StartRequest
from snapshotter.snapshots.records import Info, Kind, Link, Mount, Owner, Row, Usage
from snapshotter.snapshots.rootlock import RootLock
from snapshotter.snapshots.starting import Starting
from snapshotter.snapshots.state import State
from snapshotter.snapshots.waiting import KeyedLocks

_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")

_OWN: Final = 0o755
"""Permissions of the root directory of a snapshot that has nothing below it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the snapshotter behaves."""

    patience: Patience = field(default_factory=Patience)
    staged: bool = False
    """Hand a lazy layer out as a read-only active snapshot that containerd then commits, instead
    of committing it and answering that it exists. Needs containerd 2.4; the only way that works
    where the plugin is configured with the capability `rebase`."""
    lock_seconds: float = 10.0
    """How long to wait for another process to leave the root directory."""
    close_seconds: float = 10.0
    """How long `close` waits for layers to be released."""


class Snapshotter:
    """The snapshots of all containerd plugins that use one server. Made by `open`.

    `snapshotter` is in every operation the plugin's name: their snapshots never meet. Every
    operation raises HostError if the disk or the database fails, NotFoundError for a name that
    does not exist.
    """

    def __init__(
        self,
        state: State,
        lock: RootLock,
        thread: ThreadPoolExecutor,
        provider: LayerProvider | None,
        settings: Settings,
        containers: ContainerLabels | None,
    ) -> None:
        self._state = state
        self._lock: RootLock | None = lock
        self._thread = thread
        self._settings = settings
        self._options = mount_options()
        self._lazy = LazyLayers(provider, self._used, settings.patience) if provider else None
        self._starting = Starting(self._lazy, containers) if self._lazy else None
        self._layers = KeyedLocks()
        self._sweeping = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        root: Path,
        provider: LayerProvider | None = None,
        settings: Settings | None = None,
        containers: ContainerLabels | None = None,
    ) -> Self:
        """Open what is below `root`, which is made where it is missing.

        Without a provider every layer is unpacked by containerd. `containers` knows what a
        container that starts is. HostError if another process has
        the root, or it cannot be used.
        """
        mounts.plain(root)
        settings = settings or Settings()
        thread = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        try:
            await asyncio.to_thread(root.mkdir, mode=0o711, parents=True, exist_ok=True)
            lock = await RootLock.take(root, settings.lock_seconds)
            try:
                state = await _in(thread, State, root)
            except BaseException:
                lock.free()
                raise
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(state, lock, thread, provider, settings, containers)

    async def close(self) -> None:
        """Stop. Nothing may be called afterwards but `close`."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            if self._lazy:
                await self._lazy.settle(self._settings.close_seconds)
            await self._run(self._state.close)
        finally:
            self._thread.shutdown(wait=False)
            lock.free()

    async def layers_in_use(self) -> set[str]:
        """Return the layers that snapshots use: a provider may forget all others when it starts."""
        return await self._run(self._state.layers)

    async def restore(self) -> None:
        """Mount all lazy layers again after a restart.

        One that cannot be mounted now is warned of, and tried again when it is needed.
        """
        if not self._lazy:
            return
        failures = await self._lazy.try_all(sorted(await self.layers_in_use()))
        for layer, error in failures.items():
            fields = {"layer": layer, "error": str(error)}
            _log.warning("layer not restored", extra={"fields": fields})

    async def prepare(
        self, snapshotter: str, key: str, parent: str, labels: Mapping[str, str]
    ) -> list[Mount]:
        """Make an active snapshot and return its mounts.

        ExistsError if the key is taken; and if the labels say that an image layer is to be
        unpacked and a committed snapshot serves it already, found by its label and parent.
        UsageError if the parent is not committed, a label is too long, or ids are mapped in a way
        that is none.
        """
        kept = label_rules.checked(labels)
        served = await self._serve(snapshotter, key, parent, kept)
        return served or await self._create(Kind.ACTIVE, snapshotter, key, parent, kept)

    async def view(
        self, snapshotter: str, key: str, parent: str, labels: Mapping[str, str]
    ) -> list[Mount]:
        """Make a read-only snapshot and return its mounts. Raises what `prepare` does."""
        kept = label_rules.checked(labels)
        return await self._create(Kind.VIEW, snapshotter, key, parent, kept)

    async def mounts(self, snapshotter: str, key: str) -> list[Mount]:
        """Return the mounts of an active snapshot or view. StateError if it is committed.

        RemoteError if a lazy layer below it cannot be mounted now.
        """
        if self._starting:
            store = partial(self._stand_in, snapshotter, key)
            await self._starting.decide((snapshotter, key), store)
        row, below = await self._run(self._state.mounted, snapshotter, key)
        below = await self._without_lost(below)
        await self._ensure([row.link, *below])
        return self._mounts(row, below)

    async def commit(
        self, snapshotter: str, name: str, key: str, labels: Mapping[str, str], parent: str = ""
    ) -> None:
        """Turn the active snapshot `key` into the committed one `name`; labels are replaced.

        ExistsError if the name is taken, StateError if the key is not active, UsageError if
        `parent` is given and it has another.
        """
        kept = label_rules.checked(labels)
        row = await self._run(self._state.committable, snapshotter, key, name)
        usage = await self._usage(row)
        await self._run(self._state.commit, snapshotter, key, name, kept, parent, usage)

    async def remove(self, snapshotter: str, key: str) -> None:
        """Remove a snapshot; `cleanup` frees the space. StateError if others are built on it."""
        # A caller that hangs up must not come between the removal and the layer's release.
        await asyncio.shield(asyncio.create_task(self._remove(snapshotter, key)))

    async def stat(self, snapshotter: str, key: str) -> Info:
        """Return what is known of a snapshot."""
        return (await self._run(self._state.get, snapshotter, key)).info

    async def update(
        self, snapshotter: str, name: str, labels: Mapping[str, str], fields: Sequence[str]
    ) -> Info:
        """Change labels and return the snapshot. UsageError for other fields."""
        return await self._run(self._state.relabel, snapshotter, name, labels, fields)

    async def select(self, snapshotter: str, expressions: Sequence[str]) -> list[Info]:
        """Return the snapshots that match any filter, or all. UsageError for a malformed one."""
        matches = filters.parse_all(expressions)
        return await self._run(self._state.select, snapshotter, matches)

    async def usage(self, snapshotter: str, key: str) -> Usage:
        """Return what a snapshot takes on disk without its parents."""
        return await self._usage(await self._run(self._state.get, snapshotter, key))

    async def below_container(self, snapshotter: str, namespace: str, key: str) -> list[Link]:
        """Return what lies below a snapshot that a client of containerd calls `key`, top down."""
        return (await self._run(self._state.of_client, snapshotter, namespace, key))[1]

    async def cleanup(self) -> None:
        """Delete what removed snapshots, and crashes, left on disk."""
        async with self._sweeping:
            await delete(await self._run(self._state.sweep))

    async def _remove(self, snapshotter: str, key: str) -> None:
        layers = await self._run(self._state.remove, snapshotter, key)
        if self._starting:
            self._starting.forget((snapshotter, key))
        for layer in layers:
            if self._lazy:
                self._lazy.release_soon(layer)

    async def _serve(
        self, snapshotter: str, key: str, parent: str, labels: Mapping[str, str]
    ) -> list[Mount] | None:
        """Serve an image layer lazily if that is what is asked for. None: unpack it."""
        target = label_rules.digest(labels.get(label_rules.TARGET, ""))
        if not target or not self._lazy:
            return None
        async with self._layers.hold((snapshotter, target, parent)):
            below, there = await self._run(self._state.wanted, snapshotter, key, parent, target)
            request = label_rules.layer_request(labels, below, staged=self._settings.staged)
            if request is None:
                return None
            if there and not self._settings.staged and await self._still_served(there):
                raise ExistsError(f"layer {target} is there: snapshot {there.info.name!r}")
            async with self._lazy.offered(request) as layer:
                if layer is None:
                    return None
                if self._settings.staged:
                    await self._run(self._state.stage, snapshotter, key, parent, labels, layer)
                    return [mounts.readonly_bind(self._lazy.path(layer.layer))]
                await self._run(self._state.serve, snapshotter, target, parent, labels, layer)
            raise ExistsError(f"layer {target} is served lazily")

    async def _still_served(self, row: Row) -> bool:
        try:
            await self._ensure([row.link])
        except BootseerError as error:
            fields = {"snapshot": row.info.name, "layer": row.link.layer, "error": str(error)}
            _log.warning("layer served so far is not available", extra={"fields": fields})
            return False
        return True

    async def _create(
        self, kind: Kind, snapshotter: str, key: str, parent: str, labels: Mapping[str, str]
    ) -> list[Mount]:
        info, below = await self._run(self._state.below, snapshotter, parent)
        await self._ensure(below)
        owner = idmap.owner(labels, await self._owner(parent, below))
        start = self._start(labels, info, below) if kind is Kind.ACTIVE else None
        stand_ins: Mapping[str, str] = {}
        if self._starting and start:
            stand_ins = await self._starting.stand_ins(start)
        row, below = await self._run(
            self._state.create, kind, snapshotter, key, parent, labels, owner, stand_ins
        )
        if self._starting and start:
            self._starting.made((snapshotter, key), start, stand_ins)
        return self._mounts(row, below)

    @staticmethod
    def _start(
        labels: Mapping[str, str], parent: Info | None, below: Sequence[Link]
    ) -> StartRequest | None:
        layers = [link.layer for link in below if link.layer]
        return label_rules.start_request(labels, parent, layers) if parent else None

    async def _without_lost(self, below: Sequence[Link]) -> list[Link]:
        """Put layers back in the place of stand-ins that are not to be had any more."""
        wanted = [link.layer for link in below if link.layer and link.layer != link.pulled]
        lost = await self._lazy.try_all(wanted) if wanted and self._lazy else {}
        for layer, error in lost.items():
            _log.warning("stand-in lost", extra={"fields": {"layer": layer, "error": str(error)}})
        return [Link(one.id, one.pulled) if one.layer in lost else one for one in below]

    async def _owner(self, parent: str, below: Sequence[Link]) -> Owner:
        """Tell whom the root directory of a snapshot belongs to: as below, so that it looks so."""
        if not below:
            return Owner(os.geteuid(), os.getegid(), _OWN)
        return await _read(parent, directories.owner, self._path(below[0]))

    async def _usage(self, row: Row) -> Usage:
        if row.info.kind is not Kind.ACTIVE or row.link.layer:
            return row.usage
        return await _read(row.info.name, directories.disk_usage, self._path(row.link))

    async def _ensure(self, links: Sequence[Link]) -> None:
        layers = [link.layer for link in links if link.layer]
        if layers and not self._lazy:
            raise HostError(
                f"layer {layers[0]} is served lazily, but lazy layers are switched off",
                hint="switch them on, or remove the image and pull it again",
            )
        if layers and self._lazy:
            await self._lazy.ensure(layers)

    def _mounts(self, row: Row, below: Sequence[Link]) -> list[Mount]:
        lowers = [self._path(link) for link in below]
        own = self._path(row.link)
        if row.link.layer:
            return [mounts.readonly_bind(own)]
        if row.info.kind is Kind.VIEW:
            made = mounts.readonly(own, lowers, self._options)
        else:
            made = mounts.writable(own, self._state.work(row.link.id), lowers, self._options)
        return idmap.mapped(made, row.info.labels)

    def _path(self, link: Link) -> Path:
        if link.layer and self._lazy:
            return self._lazy.path(link.layer)
        return self._state.tree(link.id)

    async def _stand_in(self, snapshotter: str, key: str, stand_ins: Mapping[str, str]) -> None:
        await self._run(self._state.stand_in, snapshotter, key, stand_ins)

    async def _used(self, layer: str) -> bool:
        return await self._run(self._state.uses, layer)

    async def _run(self, function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
        return await _in(self._thread, function, *arguments, **named)


async def _in(
    thread: ThreadPoolExecutor, function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs
) -> _T:
    """Run a transaction in the state's thread."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(thread, lambda: function(*arguments, **named))
    except OSError as error:
        raise HostError(
            f"snapshot directory: {error}", hint="is the disk full, failing or read-only?"
        ) from error


async def _read(name: str, function: Callable[[Path], _T], tree: Path) -> _T:
    """Look at the tree of the snapshot `name` in a thread."""
    try:
        return await asyncio.to_thread(function, tree)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"the tree of snapshot {name!r} is missing: {error.filename}",
            hint="remove the image and pull it again",
        ) from error
    except OSError as error:
        raise HostError(f"the tree of snapshot {name!r} cannot be read: {error}") from error
