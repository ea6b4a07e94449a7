"""Hashes a layer's chunks as they lie in its cache file. In a worker process: see `workers`."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from snapshotter.layers.format import decode_map
from snapshotter.layers.records import BlockMap, Proof

_PIECE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Hashed:
    """What came of it."""

    size: int
    """Bytes that were read."""
    wrong: tuple[int, ...]
    """Chunks with another digest than in the index."""
    possible: bool = True
    """The index has digests of something that follows from what is cached."""


def hash_chunks(data: Path, index: Path, here: bytes) -> Hashed:
    """Hash the chunks of a data area that are at hand: `here[chunk]` is 1.

    Raises:
        CorruptError: the index on disk is damaged.
        OSError: a file cannot be read.
    """
    blocks = decode_map(index.read_bytes())
    chunks = blocks.chunks
    if chunks.proof == Proof.BLOB:
        return Hashed(0, (), possible=False)
    starts = chunks.data.tolist()
    size, wrong = 0, []
    descriptor = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for chunk, present in enumerate(here):
            if present:
                start, end = starts[chunk], starts[chunk + 1]
                runs = _hashed_runs(blocks, chunk)
                if runs is None:
                    continue
                size += end - start
                if _digest(descriptor, runs) != chunks.digest[chunk].tobytes():
                    wrong.append(chunk)
                os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return Hashed(size, tuple(wrong))


def _hashed_runs(blocks: BlockMap, chunk: int) -> list[tuple[int, int]] | None:
    """Return the runs `(start, end)` of the data area that a chunk's digest is of; None if it is of
    more than these."""
    chunks, extents = blocks.chunks, blocks.extents
    start, end = int(chunks.data[chunk]), int(chunks.data[chunk + 1])
    if chunks.proof == Proof.DATA:
        return [(start, end)]
    low = int(np.searchsorted(extents.data + extents.length, np.uint64(start), side="right"))
    high = int(np.searchsorted(extents.data, np.uint64(end)))
    runs = [
        (max(start, data), min(end, data + length))
        for data, length in zip(
            extents.data[low:high].tolist(), extents.length[low:high].tolist(), strict=True
        )
    ]
    known = sum(stop - begin for begin, stop in runs)
    return runs if known == int(chunks.tar[chunk + 1]) - int(chunks.tar[chunk]) else None


def _digest(descriptor: int, runs: Iterable[tuple[int, int]]) -> bytes:
    digest = sha256()
    for start, end in runs:
        at = start
        while at < end and (piece := os.pread(descriptor, min(_PIECE, end - at), at)):
            digest.update(piece)
            at += len(piece)
    return digest.digest()
