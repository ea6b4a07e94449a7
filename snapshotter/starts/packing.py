"""Makes the pack of what this node recorded, once all layers of it are local, and publishes it.

A job may be over before its layers are local. So they are left open until their pack is made, and
what is missing of them is brought like that of others (`serving.fill`).

Race-free: the event loop's thread only; one pack at a time.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bootseer.errors import BootseerError, CorruptError, HostError, NotFoundError
from snapshotter.blocks.names import LayerName
from snapshotter.hot.merge import merge
from snapshotter.hot.record import MergedRecord
from snapshotter.hotstore.packing import LocalArea, chosen_layers, make_pack
from snapshotter.ports import HotStore, ImageKey
from snapshotter.serving.files import LayerFiles, read_record
from snapshotter.serving.layout import LayerRecord, Layout
from snapshotter.serving.workers import Workers

log = logging.getLogger(__name__)

_PATIENCE_S: Final = 3600.0
"""For so long the layers of a pack are left open."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pack that is to be made."""

    image: ImageKey
    workload: str
    layers: tuple[LayerName, ...]
    """All layers that were watched."""


@dataclass(frozen=True, slots=True)
class _Owed:
    until: float
    """When to give it up."""
    left_open: contextlib.ExitStack
    """Its layers are left open until this is closed."""


class Packing:
    """The packs that this node owes."""

    def __init__(
        self,
        layout: Layout,
        files: LayerFiles,
        workers: Workers,
        store: HotStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`store`: where records are, and where the pack goes."""
        self._layout = layout
        self._files = files
        self._workers = workers
        self._store = store
        self._clock = clock
        self._owed: dict[Wanted, _Owed] = {}
        self._busy = False

    def want(self, wanted: Wanted) -> None:
        """Remember to make a pack. Forgotten at a restart: any node can make it by command."""
        if wanted not in self._owed:
            stack = contextlib.ExitStack()
            for name in wanted.layers:
                stack.enter_context(self._files.left_open(name))
            self._owed[wanted] = _Owed(self._clock() + _PATIENCE_S, stack)

    async def make_if_due(self) -> ImageKey | None:
        """Make one pack if its layers are local; return its image if a pack was published."""
        if self._busy:
            return None
        self._busy = True
        try:
            for wanted in list(self._owed):
                if self._is_local(wanted):
                    return await self._make_due(wanted)
                await self._await_layers(wanted)
        finally:
            self._busy = False
        return None

    async def _await_layers(self, wanted: Wanted) -> None:
        """See to it that a pack's layers are open, or give it up."""
        try:
            if self._clock() > self._owed[wanted].until:
                raise HostError(f"its layers did not come in {_PATIENCE_S:.0f} s")
            for name in wanted.layers:
                await self._files.open(name)  # whoever used it may have closed it
        except BootseerError as error:
            self._not_packed(wanted, error)
            self._owed.pop(wanted).left_open.close()

    async def _make_due(self, due: Wanted) -> ImageKey | None:
        """Make a pack; what is recorded meanwhile is wanted anew."""
        with self._owed.pop(due).left_open:
            try:
                return due.image if await self._make(due) else None
            except (BootseerError, OSError) as error:
                self._not_packed(due, error)
                return None

    @staticmethod
    def _not_packed(wanted: Wanted, error: Exception) -> None:
        fields = {"image": wanted.image.reference, "workload": wanted.workload}
        log.warning("hot.not_packed", extra={"fields": fields | {"reason": str(error)}})

    def _is_local(self, wanted: Wanted) -> bool:
        """Say whether all is on disk, whoever has it open: its container may be gone by now."""
        try:
            return all(read_record(self._layout, name).local for name in wanted.layers)
        except (NotFoundError, CorruptError):
            return False

    async def _make(self, wanted: Wanted) -> bool:
        """Make the pack of what the store has; False if it has no record, or a pack already."""
        records = await self._store.records(wanted.image, wanted.workload)
        there = await self._store.pack(wanted.image, wanted.workload)
        if not records or (there is not None and there.runs >= len(records)):
            return False
        merged = await asyncio.to_thread(merge, records)
        areas = self._areas(wanted, merged)
        if not areas:
            return False
        target = self._layout.hot / f"pack-{secrets.token_hex(8)}"
        try:
            made = await self._workers.bulk(make_pack, merged, areas, target)
            await self._store.publish_pack(wanted.image, merged, target)
        finally:
            target.unlink(missing_ok=True)
        fields = {
            "image": wanted.image.reference,
            "workload": wanted.workload,
            "runs": merged.runs,
            "blocks": made.blocks,
            "size": made.size,
        }
        log.info("hot.packed", extra={"fields": fields})
        return True

    def _areas(self, wanted: Wanted, merged: MergedRecord) -> Mapping[int, LocalArea]:
        found = ((name, read_record(self._layout, name)) for name in wanted.layers)
        records = {record.layer_digest: (name, record) for name, record in found}
        published = {digest: one.index_file_digest for digest, (_, one) in records.items()}
        return {
            row: self._area(*records[digest])
            for row, digest in chosen_layers(merged, published).items()
            if digest in records
            and records[digest][1].merkle_root  # without it nothing proves a block of a pack
            and records[digest][1].size == merged.layers[row].data_size
        }

    def _area(self, name: LayerName, record: LayerRecord) -> LocalArea:
        return LocalArea(self._layout.data(name), bytes.fromhex(record.merkle_root))
