"""Do extents and chunks tile their address spaces and agree with each other?"""

import re
from typing import Final

import numpy as np

from snapshotter.layers.checks import at_most, refuse, refuse_rows, same_length
from snapshotter.layers.records import BLOCK, U64, ChunkTable, Codec, Extents, Proof
from snapshotter.limits import Limits

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_WINDOW_SLACK: Final = 1 << 10
"""Bytes that a zstd frame of incompressible content may add to it."""


def check_digest(field: str, digest: str) -> None:
    """Raise `CorruptError` unless it is `sha256:` and 64 lower-case hex digits."""
    if not _DIGEST.fullmatch(digest):
        raise refuse(field, f"is {digest[:80]!r}, expected sha256: and 64 hex digits")


def check_chunks(chunks: ChunkTable, layer_size: int, limits: Limits) -> None:
    """Raise `CorruptError` unless the chunks tile a layer of `layer_size` compressed bytes."""
    count = len(chunks.digest)
    at_most("chunks", count, limits.chunks)
    same_length("chunks", count, codec=chunks.codec, skip=chunks.skip, bits=chunks.bits)
    edges = {"blob": chunks.blob, "tar": chunks.tar, "data": chunks.data, "window": chunks.window}
    same_length("chunks", count + 1, **edges)
    if chunks.digest.shape != (count, 32):
        raise refuse("chunks.digest", "are not 32 bytes each")
    for name, column in edges.items():
        _check_edges(f"chunks.{name}", column)
    at_most("layer_size", layer_size, limits.layer)
    at_most("chunks.tar", int(chunks.tar[-1]), limits.layer_tar)
    at_most("chunks.data", int(chunks.data[-1]), limits.data_area)
    at_most("chunks.window", int(chunks.window[-1]), limits.windows)
    if count and int(chunks.blob[-1]) != layer_size:
        raise refuse("chunks.blob", f"ends at {int(chunks.blob[-1])} of {layer_size} bytes")
    if int(chunks.data[-1]) % BLOCK:
        raise refuse("chunks.data", "does not end on a 4 KiB boundary")
    _check_each(chunks, limits)
    if chunks.proof == Proof.DATA and bool((chunks.codec == Codec.GZIP).any()):
        raise refuse("chunks.codec", "is gzip, which only an index of another format has")


def _check_edges(field: str, column: U64) -> None:
    if column[0] != 0:
        raise refuse(f"{field}[0]", "is not 0")
    refuse_rows(column[1:] < column[:-1], field, "decreases behind this row")


def _check_each(chunks: ChunkTable, limits: Limits) -> None:
    blob, tar, data, window = map(np.diff, (chunks.blob, chunks.tar, chunks.data, chunks.window))
    deflate = chunks.codec == Codec.DEFLATE
    refuse_rows(blob > limits.chunk_compressed, "chunks.blob", "has too large a chunk")
    refuse_rows(tar > limits.chunk, "chunks.tar", "has too large a chunk")
    refuse_rows(data > limits.chunk, "chunks.data", "has too large a chunk")
    refuse_rows(~np.isin(chunks.codec, list(Codec)), "chunks.codec", "is unknown")
    # Not compared with `blob`: the chunks of a layer without random access (one zstd frame, a
    # deflate block or hole larger than a chunk) need not hold their bytes. A reader finds out.
    refuse_rows(chunks.skip > limits.chunk_compressed, "chunks.skip", "is out of range")
    refuse_rows(chunks.bits > np.where(deflate, 7, 0), "chunks.bits", "is out of range")
    refuse_rows((window > 0) & ~deflate, "chunks.window", "is set but there is no deflate")
    refuse_rows(window > limits.window + _WINDOW_SLACK, "chunks.window", "is too large")
    raw = (chunks.codec == Codec.RAW) & (blob != tar + chunks.skip)
    refuse_rows(raw, "chunks.tar", "has another length than its uncompressed bytes")


def check_extents(extents: Extents, chunks: ChunkTable, limits: Limits) -> None:
    """Raise `CorruptError` unless extents ascend and lie in the chunks that have their bytes."""
    count = len(extents.data)
    at_most("extents", count, limits.entries)
    same_length("extents", count, tar=extents.tar, length=extents.length)
    data_end = _check_run("extents.data", extents.data, extents.length, int(chunks.data[-1]))
    tar_end = _check_run("extents.tar", extents.tar, extents.length, int(chunks.tar[-1]))
    # Where each chunk begins: extents before `row` end there or earlier, the one at `row` goes on.
    cut, at = chunks.tar, chunks.data
    row = np.searchsorted(tar_end, cut, side="right")
    before = np.concatenate([np.zeros(1, dtype=np.uint64), data_end])[row]
    here = np.append(extents.data, chunks.data[-1])[row]
    tar_here = np.append(extents.tar, chunks.tar[-1])[row]
    inside = cut > tar_here
    exact = here + np.where(inside, cut - tar_here, 0)
    wrong = np.where(inside, at != exact, (at < before) | (at > here))
    refuse_rows(wrong, "chunks.data", "is not where its first byte of the tar belongs")


def _check_run(field: str, start: U64, length: U64, size: int) -> U64:
    """Return the ends of the runs: inside `size`, ascending, not overlapping."""
    refuse_rows((start > size) | (length > size), field, "is past the end")
    end = start + length
    refuse_rows((end > size) | (length == 0), field, "is past the end, or empty")
    refuse_rows(start[1:] < end[:-1], field, "overlaps the next")
    return end
