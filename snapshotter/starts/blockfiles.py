"""All block files of a node: data areas, hot areas, and data areas under a recording.

Race-free: it keeps no state of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from snapshotter.blocks.filesystem import BlockFile
from snapshotter.blocks.names import BlockName, Role
from snapshotter.serving.files import LayerFiles, OpenLayer
from snapshotter.serving.layout import Layout, MountId
from snapshotter.starts.areas import Areas
from snapshotter.starts.recordings import Recordings


class RecordedLayer:
    """The data area of a layer as a container reads it whose reads are recorded."""

    def __init__(self, layer: OpenLayer, name: BlockName, recordings: Recordings) -> None:
        self._layer = layer
        self._name = name
        self._recordings = recordings

    @property
    def size(self) -> int:
        """Bytes of the data area."""
        return self._layer.size

    def is_known(self) -> bool:
        """See `BlockFile`: a data area never changes."""
        return True

    async def read(self, offset: int, length: int) -> bytes | bytearray:
        """Note the touch, then read like everybody."""
        self._recordings.touch(self._name, offset, length)
        return await self._layer.read(offset, length)


class NodeBlocks:
    """The `blocks.filesystem.BlockFiles` and `serving.provider.Blocks` of the daemon."""

    def __init__(
        self,
        layout: Layout,
        files: LayerFiles,
        areas: Areas,
        recordings: Recordings,
    ) -> None:
        self._layout = layout
        self._files = files
        self._areas = areas
        self._recordings = recordings

    async def open(self, name: BlockName) -> BlockFile:
        """Return a block file. NotFoundError if there is none."""
        if name.variant.role is Role.HOT:
            return await self._areas.open(name)
        layer = await self._files.open(name.layer)
        if self.wants_exact_reads(name):
            return RecordedLayer(layer, name, self._recordings)
        return layer

    def read_now(
        self, name: BlockName, offset: int, length: int, *, noticed: bool = True
    ) -> bytes | bytearray | None:
        """See `blocks.filesystem.BlockFiles`."""
        if name.variant.role is Role.HOT or self.wants_exact_reads(name):
            return None
        layer = self._files.find(name.layer)
        return layer.read_now(offset, length, noticed=noticed) if layer else None

    def wants_exact_reads(self, name: BlockName) -> bool:
        """Say whether a block file may be read only as far as somebody asks for it."""
        variant = name.variant
        return variant.role is Role.RECORD and self._recordings.notes_reads(variant.number)

    def names(self) -> Sequence[BlockName]:
        """Return the block files that a listing shows: data areas and open hot areas."""
        return [*map(BlockName, self._files.names()), *self._areas.names()]

    async def prepare(self, name: BlockName) -> Path | None:
        """Open a block file; or return the local file that has all of it."""
        if name.variant.role is Role.HOT:
            area = await self._areas.open(name)
            return area.cache.data_path if not area.missing else None
        layer = await self._files.open(name.layer)
        local = layer.record.local and name.variant.role is Role.DATA
        return self._layout.data(name.layer) if local else None

    def worth_keeping(self) -> set[str]:
        """Return the mounts of hot areas that the next start of their image wants."""
        faces = ((name, bottom) for name in self._areas.newest() for bottom in (False, True))
        return {str(MountId(name.layer, bottom, name.variant)) for name, bottom in faces}

    async def close(self, name: BlockName) -> bool:
        """Close a hot area that nobody reads; False if it is not worth keeping."""
        return await self._areas.close(name)

    async def forget(self, name: BlockName) -> None:
        """Close a hot area that nobody can read any more."""
        await self._areas.forget(name)
