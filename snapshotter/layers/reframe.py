"""A zstd layer cut anew: the same uncompressed bytes, in small frames that are read independently.

The caller's thread hashes and decompresses; a lane behind it compresses, hashes and writes. The two
share nothing: `_Output` belongs to the lane until `finish` has drained it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import zstandard

from bootseer.errors import CorruptError
from snapshotter.layers.events import Piece
from snapshotter.layers.lane import Lane
from snapshotter.layers.zstd_stream import ZstdStream
from snapshotter.limits import DEFAULT, Limits

FRAME: Final = 256 << 10
"""Uncompressed bytes of a frame, which becomes a chunk; as between checkpoints in gzip."""
LEVEL: Final = 3
_BACKLOG: Final = 16
"""Frames that may wait for being compressed: 4 MiB."""


@dataclass(frozen=True, slots=True)
class Reframed:
    """What one pass over a layer saw and wrote. Sizes in bytes."""

    source_digest: str
    """Of what was fed."""
    source_size: int
    diff_id: str
    """Digest of the uncompressed layer."""
    digest: str
    """Of what was written."""
    size: int
    frames: int


class _Output:
    """Compresses frames and writes them one behind the other."""

    def __init__(self, write: Callable[[bytes], object], level: int) -> None:
        self._write = write
        self._compressor = zstandard.ZstdCompressor(level=level)
        self.digest = sha256()
        self.size = 0
        self.frames = 0

    def add(self, content: bytes) -> None:
        frame = self._compressor.compress(content)
        self.digest.update(frame)
        self.size += len(frame)
        self.frames += 1
        self._write(frame)


class Reframer:
    """Takes a zstd blob in pieces of any size. For one thread at a time; useless after an error.

    An error ends its thread; so does forgetting it. What it writes depends on the uncompressed
    bytes, the level and the version of zstd, and on nothing else.
    """

    def __init__(
        self, write: Callable[[bytes], object], *, level: int = LEVEL, limits: Limits = DEFAULT
    ) -> None:
        """`write` is called in another thread, frame by frame."""
        self._limits = limits
        self._stream = ZstdStream(FRAME, limits)
        self._source = sha256()
        self._source_size = 0
        self._content = sha256()
        self._content_size = 0
        self._held = bytearray()
        self._output = _Output(write, level)
        self._lane = Lane("layer-frames", _BACKLOG)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the blob.

        Raises:
            CorruptError: they are not zstd, or exceed a limit.
            Exception: what `write` raised, maybe a few calls late.
        """
        try:
            self._feed(piece)
        except BaseException:
            self.close()
            raise

    def finish(self) -> Reframed:
        """Say that the blob ends here; what was written is complete then.

        Raises:
            CorruptError: it must not end here.
            Exception: what `write` raised.
        """
        try:
            for _ in self._stream.finish():
                pass
            if self._held or not self._content_size:
                self._lane.submit(self._output.add, bytes(self._held))
            self._lane.drain()
        finally:
            self.close()
        output = self._output
        return Reframed(
            source_digest=f"sha256:{self._source.hexdigest()}",
            source_size=self._source_size,
            diff_id=f"sha256:{self._content.hexdigest()}",
            digest=f"sha256:{output.digest.hexdigest()}",
            size=output.size,
            frames=output.frames,
        )

    def close(self) -> None:
        """Give up: end the thread. Needed only by who can't wait for the garbage collector."""
        self._lane.close()

    def _feed(self, piece: bytes) -> None:
        self._source_size += len(piece)
        if self._source_size > self._limits.layer:
            raise CorruptError(f"layer of more than {self._limits.layer} bytes")
        self._source.update(piece)
        for event in self._stream.feed(piece):
            if isinstance(event, Piece):
                self._take(event.data)

    def _take(self, data: bytes | memoryview) -> None:
        """Hold uncompressed bytes, and pass on those that fill a frame."""
        self._content_size += len(data)
        if self._content_size > self._limits.layer_tar:
            raise CorruptError(f"a layer of more than {self._limits.layer_tar} bytes")
        self._content.update(data)
        self._held += data
        whole = len(self._held) - len(self._held) % FRAME
        for start in range(0, whole, FRAME):
            self._lane.submit(self._output.add, bytes(self._held[start : start + FRAME]))
        del self._held[:whole]
