"""What the block server needs of whatever it serves blocks of. It knows of no format.

An image layer is one kind of block image. Others (`LayerRecord.kind`) come with an opener of their
own, and are cached, read ahead, recorded and prefetched like layers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snapshotter.chunks.chunkmap import ChunkMap
from snapshotter.chunks.maker import Decode
from snapshotter.chunks.near import Near
from snapshotter.ports import MirroredSource
from snapshotter.serving.layout import LayerRecord


@dataclass(frozen=True, slots=True)
class BlockImage:
    """How blocks of a data area are had."""

    chunks: ChunkMap
    """Where they lie in the blob, and in the data area."""
    key: bytes
    """32 bytes, other ones wherever chunks are numbered otherwise: says which cache is of this."""
    windows_digest: str
    """As the source knows the blob with inflate windows; empty: there are none."""
    source: MirroredSource
    """Gives bytes of the blob, which it knows as `LayerRecord.layer_digest`."""
    decode: Decode
    """Makes verified bytes of the data area of them."""
    near: Near | None = None
    """Its blob, if that is near: it is read from there, not from `source`. More is brought on
    either side of a miss, and what came is put into the page cache as well."""


class ImageOpener(Protocol):
    """Opens block images of one kind."""

    async def open(self, directory: Path, record: LayerRecord) -> BlockImage:
        """Return the image whose files are in `directory`; nothing is fetched.

        Raises:
            CorruptError: its files are damaged.
            NotFoundError: one of them is missing.
        """
        ...
