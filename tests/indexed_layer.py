"""A layer as our own indexer sees it: the index, and the data area beside it."""

from snapshotter.layers.indexer import LayerIndexer
from snapshotter.layers.records import LayerIndex


def indexed(blob: bytes) -> tuple[LayerIndex, bytes]:
    """Return the index of a layer that brings none, and its data area."""
    area = bytearray()

    def keep(offset: int, data: bytes | memoryview) -> None:
        area.extend(bytes(offset - len(area)))
        area.extend(data)

    indexer = LayerIndexer(sink=keep)
    indexer.feed(blob)
    index = indexer.finish().index
    return index, bytes(area.ljust(index.data_size, b"\0"))
