"""The layers on disk: one that changes a layer at a time, and when each was wanted last.

A layer is made in a directory of its own and put in its place when it is complete; one without a
usable record is as good as none.

Race-free: everything about one layer name happens under that name's lock; locks are kept for good
(one that were removed while somebody waits for it would guard nothing). The tables are touched by
the event loop's thread only. A layer that was touched less than `_GRACE_S` ago is not idle: its
snapshot may not be recorded yet.
"""

import asyncio
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bootseer.atomic import write_atomic
from bootseer.errors import CorruptError, NotFoundError
from snapshotter.blocks.names import LayerName
from snapshotter.serving.files import LayerFiles, read_record
from snapshotter.serving.layout import NEW, RECORD, LayerRecord, Layout
from snapshotter.serving.use import note_use

_GRACE_S: Final = 5.0


class Shelf:
    """What is on disk, and who may change it."""

    def __init__(self, layout: Layout, files: LayerFiles) -> None:
        """`files`: those of the layers that are open."""
        self.layout = layout
        self.files = files
        self.resting: set[LayerName] = set()
        """Layers that nothing uses, and that are closed."""
        self._locks: dict[LayerName, asyncio.Lock] = {}
        self._wanted: dict[LayerName, float] = {}

    def lock(self, name: LayerName) -> asyncio.Lock:
        """Return what is to be held while a layer is changed, mounted or unmounted."""
        return self._locks.setdefault(name, asyncio.Lock())

    def touch(self, name: LayerName) -> None:
        """Note that a layer is about to be used; its record's time says so after a restart."""
        self._wanted[name] = time.monotonic()
        self.resting.discard(name)
        note_use(self.layout, [name])

    def is_idle(self, name: LayerName, seconds: float = _GRACE_S) -> bool:
        """Say whether nobody wanted a layer for so long."""
        return time.monotonic() - self._wanted.get(name, float("-inf")) > seconds

    def is_done_with(self, name: LayerName) -> None:
        """Note that whoever wanted a layer does not any more."""
        self._wanted.pop(name, None)

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Give a new directory, gone afterwards unless `put` took it.

        Its name is nobody's: a worker that goes on after its job was cancelled spoils nothing.
        """
        directory = self.layout.layers / f"{NEW}{secrets.token_hex(8)}"
        directory.mkdir(mode=0o700)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def put(self, directory: Path, name: LayerName, record: LayerRecord) -> None:
        """Put a layer that is complete in its place. The caller holds its lock."""
        write_atomic(directory / RECORD, record.encode())
        final = self.layout.layer(name)
        shutil.rmtree(final, ignore_errors=True)  # without a usable record: see `holds`
        directory.rename(final)
        self.touch(name)

    def holds(self, name: LayerName, layer_digest: str, reference: str) -> bool:
        """Say whether the layer is on disk; add `reference` to the places to fetch it from.

        Raises:
            CorruptError: another layer has this name, or the index is known to lie.
        """
        try:
            record = read_record(self.layout, name)
        except (NotFoundError, CorruptError):
            return False
        if record.layer_digest != layer_digest:
            raise CorruptError(f"layers {layer_digest} and {record.layer_digest} share a name")
        if record.poisoned:
            raise CorruptError(f"layer {layer_digest}: {record.poisoned}")
        self.touch(name)  # it may be unused so far: it must not be evicted before it is mounted
        if record.sources[:1] != (reference,):
            record = record.with_source(reference)
            write_atomic(self.layout.record(name), record.encode(), durable=False)
            if layer := self.files.find(name):
                layer.record = replace(record, poisoned=layer.record.poisoned)
        return True

    def clear(self) -> None:
        """Remove what was being built when a server before us died."""
        for rubbish in self.layout.layers.glob(f"{NEW}*"):
            shutil.rmtree(rubbish, ignore_errors=True)
