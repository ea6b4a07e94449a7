"""One frame of a pack: stored bytes in, verified bytes of the data area out. Pure."""

import hashlib
from bisect import bisect_left
from typing import Final

import zstandard

from bootseer.errors import CorruptError
from depsnap.packing.stamps import LENGTH, stamp_bytes
from snapshotter.dependencies.image import Stamps
from snapshotter.layers.arrange import arrange
from snapshotter.layers.records import BlockMap
from snapshotter.limits import DEFAULT, Limits

_HINT: Final = "the store's bytes are damaged: bootseer deps verify --drop, and run the step again"


class FrameDecoder:
    """Decodes the chunks of one image. Without state: any number of threads may use it at once."""

    def __init__(self, blocks: BlockMap, stamps: Stamps, limits: Limits = DEFAULT) -> None:
        self._digest = blocks.layer_digest
        self._chunks = blocks.chunks
        self._extents = blocks.extents
        self._stamped = stamps.offset.tolist()
        self._stamps = stamps.value.tolist()
        self._limits = limits

    def __call__(
        self, chunk: int, compressed: bytes | memoryview, window: bytes
    ) -> bytes | memoryview:
        """Return the chunk's bytes of the data area.

        `compressed` may have more behind the frame; there are no windows here.

        Raises:
            CorruptError: the bytes are not those that the snapshot's tree names.
        """
        try:
            return self._decode(chunk, compressed)
        except CorruptError as error:
            offset = int(self._chunks.blob[chunk])
            raise CorruptError(
                f"snapshot {self._digest}, frame {chunk} at {offset}: {error.message}", hint=_HINT
            ) from error

    def _decode(self, chunk: int, compressed: bytes | memoryview) -> bytes | memoryview:
        size = int(self._chunks.blob[chunk + 1]) - int(self._chunks.blob[chunk])
        stored = memoryview(compressed)[:size]
        if hashlib.sha256(stored).digest() != self._chunks.digest[chunk].tobytes():
            raise CorruptError("the store has other bytes than the snapshot says")
        content = self._decompressed(stored, chunk)
        start, end = int(self._chunks.data[chunk]), int(self._chunks.data[chunk + 1])
        if start == end:
            return b""
        return self._stamped_in(start, end, arrange(self._chunks, self._extents, chunk, content))

    def _decompressed(self, stored: memoryview, chunk: int) -> bytes:
        length = int(self._chunks.tar[chunk + 1]) - int(self._chunks.tar[chunk])
        try:
            content = zstandard.ZstdDecompressor(
                max_window_size=self._limits.zstd_window
            ).decompress(stored, max_output_size=length, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise CorruptError(f"it cannot be decompressed: {error}") from error
        if len(content) != length:
            raise CorruptError(f"{len(content)} bytes where {length} are said")
        return content

    def _stamped_in(self, start: int, end: int, data: bytes | memoryview) -> bytes | memoryview:
        """Return the bytes with the times of sources in compiled Python."""
        low, high = bisect_left(self._stamped, start), bisect_left(self._stamped, end)
        if low == high:
            return data
        whole = bytearray(data)
        for row in range(low, high):
            at = self._stamped[row] - start
            whole[at : at + LENGTH] = stamp_bytes(self._stamps[row])
        return memoryview(whole)
