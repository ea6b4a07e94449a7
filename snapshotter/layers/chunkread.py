"""One chunk: compressed bytes and window in, verified bytes of the data area out. Pure.

The index and all bytes are somebody's word; what leaves here has the chunk's digest.
"""

from hashlib import sha256
from typing import Final

import zstandard

from bootseer.errors import CorruptError
from snapshotter.layers.arrange import arrange
from snapshotter.layers.deflate import PIECE, StreamInflater, inflate_span
from snapshotter.layers.gzip_member import TRAILER, header_length
from snapshotter.layers.records import BlockMap, Codec, LayerIndex, Proof
from snapshotter.layers.windows import unpack
from snapshotter.layers.zstd_frame import FrameWalker
from snapshotter.limits import DEFAULT, Limits

_LONGEST_HEADER: Final = 192 << 10
"""Bytes of a gzip header that are looked at: an extra field, a name and a comment at their most."""
_HINT: Final = "the registry's bytes or the index are damaged; fetch both again"


class ChunkDecoder:
    """Decodes the chunks of one layer. Without state: any number of threads may use it at once."""

    def __init__(self, block_map: BlockMap | LayerIndex, limits: Limits = DEFAULT) -> None:
        self._digest = block_map.layer_digest
        self._chunks = block_map.chunks
        self._extents = block_map.extents
        self._limits = limits

    def __call__(
        self, chunk: int, compressed: bytes | memoryview, window: bytes
    ) -> bytes | memoryview:
        """Return the chunk's bytes of the data area.

        `compressed` is the blob from the chunk's start to its end, with the byte behind it where
        there is one; `window` is the chunk's part of the windows blob.

        Raises:
            CorruptError: the bytes are not those of the index; names layer, chunk and blob offset.
        """
        try:
            return self._decode(chunk, compressed, window)
        except CorruptError as error:
            offset = int(self._chunks.blob[chunk])
            raise CorruptError(
                f"layer {self._digest}, chunk {chunk} at {offset}: {error.message}", hint=_HINT
            ) from error

    def _decode(
        self, chunk: int, compressed: bytes | memoryview, window: bytes
    ) -> bytes | memoryview:
        start, end = int(self._chunks.data[chunk]), int(self._chunks.data[chunk + 1])
        for length in (end - start, self._tar_length(chunk)):
            if not 0 <= length <= self._limits.chunk:
                raise CorruptError(f"{length} bytes in a chunk, not 0 to {self._limits.chunk}")
        if self._chunks.proof == Proof.BLOB:
            self._check(chunk, self._payload(chunk, compressed))
        data: bytes | memoryview = b""
        tar: bytes | memoryview = b""
        if start < end:
            tar = self._uncompressed(chunk, compressed, window)
            data = arrange(self._chunks, self._extents, chunk, tar)
        if self._chunks.proof != Proof.BLOB:
            self._check(chunk, data if self._chunks.proof == Proof.DATA else tar)
        return data

    def _check(self, chunk: int, content: bytes | memoryview) -> None:
        if sha256(content).digest() != self._chunks.digest[chunk].tobytes():
            raise CorruptError("content has another digest than the index says")

    def _payload(self, chunk: int, compressed: bytes | memoryview) -> memoryview:
        """Return the chunk's bytes of the blob from its payload on, with the byte that the next one
        begins in."""
        length = int(self._chunks.blob[chunk + 1]) - int(self._chunks.blob[chunk])
        last = chunk + 1 == len(self._chunks.bits)
        shared = 0 if last else int(self._chunks.bits[chunk + 1] > 0)
        return memoryview(compressed)[int(self._chunks.skip[chunk]) : length + shared]

    def _tar_length(self, chunk: int) -> int:
        return int(self._chunks.tar[chunk + 1]) - int(self._chunks.tar[chunk])

    def _uncompressed(
        self, chunk: int, compressed: bytes | memoryview, window: bytes
    ) -> bytes | memoryview:
        """Return the chunk's bytes of the tar, exactly as many as the index says."""
        payload = memoryview(compressed)[int(self._chunks.skip[chunk]) :]
        length = self._tar_length(chunk)
        data: bytes | memoryview
        match self._chunks.codec[chunk]:
            case Codec.RAW:
                data = payload[:length]
            case Codec.DEFLATE:
                bits = int(self._chunks.bits[chunk])
                data = _inflate(payload, bits, unpack(window, self._limits), length)
            case Codec.ZSTD:
                data = _decompress(payload, length, self._limits)
                if self._chunks.proof == Proof.TAR:  # headers may follow in the same frame
                    data = data[:length]
            case Codec.GZIP:
                data = _inflate(payload[_member_header(payload) :], 0, b"", length)
            case codec:
                raise CorruptError(f"unknown codec {codec}")
        if len(data) != length:
            raise CorruptError(f"{len(data)} bytes where the index says {length}")
        return data


def _inflate(payload: memoryview, bits: int, window: bytes, length: int) -> bytes:
    """Inflate from a checkpoint, over the ends of gzip members where the chunk has several."""
    data, left = inflate_span(payload, bits, window, length)
    if left < 0 or len(data) == length:
        return data
    pieces = [data]
    source, at = bytes(payload), len(payload) - left
    inflater = StreamInflater()
    while (length := length - len(pieces[-1])) > 0:
        if len(pieces) == 1 or inflater.ended:
            at = _next_member(source, at + TRAILER)
            inflater.reset()
            inflater.give(source, at)
        pieces.append(inflater.step(min(length, PIECE)))
        at = inflater.position
        if not pieces[-1] and not inflater.ended and at == len(source):
            break
    return b"".join(pieces)


def _member_header(payload: memoryview) -> int:
    header = header_length(bytes(payload[:_LONGEST_HEADER]))
    if header is None:
        raise CorruptError("gzip member with a header that does not end")
    return header


def _next_member(source: bytes, at: int) -> int:
    header = header_length(source, at)
    if header is None:
        raise CorruptError("gzip member ends before the chunk does")
    return at + header


def _decompress(payload: memoryview, length: int, limits: Limits) -> bytes:
    """Decompress whole frames, and no more than a little over `length` bytes."""
    context = zstandard.ZstdDecompressor(max_window_size=limits.zstd_window)
    frame = context.decompressobj()
    pieces, size = [], 0
    try:
        for portion in FrameWalker().feed(bytes(payload)):
            if size >= length:
                break
            if portion.first:
                frame = context.decompressobj()
            pieces.append(frame.decompress(portion.data))
            size += len(pieces[-1])
    except zstandard.ZstdError as error:
        raise CorruptError(f"zstd frame is damaged: {error}") from error
    return b"".join(pieces)
