"""Makes the pack of what this node recorded, once all layers of it are local, and publishes it.

Race-free: the event loop's thread only; one pack at a time.
"""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from bootseer.errors import BootseerError, CorruptError, NotFoundError
from snapshotter.blocks.names import LayerName
from snapshotter.hot.merge import merge
from snapshotter.hot.record import MergedRecord
from snapshotter.hotstore.packing import LocalArea, chosen_layers, make_pack
from snapshotter.ports import HotStore, ImageKey
from snapshotter.serving.files import read_record
from snapshotter.serving.layout import LayerRecord, Layout
from snapshotter.serving.workers import Workers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pack that is to be made."""

    image: ImageKey
    workload: str
    layers: tuple[LayerName, ...]
    """All layers that were watched."""


class Packing:
    """The packs that this node owes."""

    def __init__(self, layout: Layout, workers: Workers, store: HotStore) -> None:
        """`store`: where records are, and where the pack goes."""
        self._layout = layout
        self._workers = workers
        self._store = store
        self._wanted: list[Wanted] = []
        self._busy = False

    def want(self, wanted: Wanted) -> None:
        """Remember to make a pack. Forgotten at a restart: any node can make it by command."""
        if wanted not in self._wanted:
            self._wanted.append(wanted)

    async def make_if_due(self) -> ImageKey | None:
        """Make one pack if its layers are local; return its image if a pack was published."""
        due = next((one for one in self._wanted if self._is_local(one)), None)
        if due is None or self._busy:
            return None
        self._busy = True
        self._wanted.remove(due)
        fields = {"image": due.image.reference, "workload": due.workload}
        try:
            made = await self._make(due)
        except (BootseerError, OSError) as error:
            log.warning("hot.not_packed", extra={"fields": fields | {"reason": str(error)}})
            return None
        finally:
            self._busy = False
        return due.image if made else None

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
