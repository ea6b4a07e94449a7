"""Hashes a layer's chunks as they lie in its cache file. In a worker process: see `workers`."""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from snapshotter.layers.format import decode_map

_PIECE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Hashed:
    """What came of it."""

    size: int
    """Bytes that were read."""
    wrong: tuple[int, ...]
    """Chunks with another digest than in the index."""


def hash_chunks(data: Path, index: Path, here: bytes) -> Hashed:
    """Hash the chunks of a data area that are at hand: `here[chunk]` is 1.

    Raises:
        CorruptError: the index on disk is damaged.
        OSError: a file cannot be read.
    """
    chunks = decode_map(index.read_bytes()).chunks
    starts = chunks.data.tolist()
    size, wrong = 0, []
    descriptor = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for chunk, present in enumerate(here):
            if present:
                start, end = starts[chunk], starts[chunk + 1]
                size += end - start
                if _digest(descriptor, start, end) != chunks.digest[chunk].tobytes():
                    wrong.append(chunk)
                os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return Hashed(size, tuple(wrong))


def _digest(descriptor: int, start: int, end: int) -> bytes:
    digest = sha256()
    while start < end and (piece := os.pread(descriptor, min(_PIECE, end - start), start)):
        digest.update(piece)
        start += len(piece)
    return digest.digest()
