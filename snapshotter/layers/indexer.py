"""Indexes a layer in one pass over its bytes, whatever it is compressed with.

The caller's thread hashes and decompresses; behind it, one lane surveys what comes out (tar, data
area, digests) and another makes windows. On two cores that takes about as long as decompressing
alone. The lanes share nothing: a `Survey` belongs to its lane until `finish` has drained it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from bootseer.errors import CorruptError
from snapshotter.layers import gzip_member, zstd_frame
from snapshotter.layers.coarse import is_coarse
from snapshotter.layers.content import Sink
from snapshotter.layers.events import Cut, Event, LayerStream, Piece, Window
from snapshotter.layers.gzip_stream import GzipStream
from snapshotter.layers.lane import Lane
from snapshotter.layers.raw_stream import RawStream
from snapshotter.layers.records import LayerIndex
from snapshotter.layers.survey import Survey
from snapshotter.layers.windows import pack, sparse
from snapshotter.layers.zstd_stream import ZstdStream
from snapshotter.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from concurrent.futures import Future

SPACING: Final = 256 << 10
"""Uncompressed bytes between checkpoints; `docs/decisions/0002-checkpoint-spacing.md`."""

_LOCAL_CHUNK: Final = 4 << 20
"""Chunks of a layer that nobody is going to fetch by chunk."""
_MAGIC: Final = 4
_BATCH: Final = 512 << 10
_BATCH_EVENTS: Final = 1024
_BATCHES: Final = 8
_WINDOWS: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class IndexedLayer:
    """What one pass over a layer finds."""

    index: LayerIndex
    windows_blob: bytes
    """The windows of all chunks, one behind the other; may be empty."""
    random_access: bool
    """Each chunk can be had from its own bytes and its window. Not so for one large zstd frame,
    for a deflate block larger than a chunk may be, or if no windows were asked for."""
    coarse: bool = False
    """It is zstd with a frame so large that a small file costs too much (`coarse.COARSE`)."""


class LayerIndexer:
    """Takes a layer blob in pieces of any size. For one thread at a time; useless after an error.

    An error ends its threads; so does forgetting it.
    """

    def __init__(
        self,
        *,
        spacing: int = SPACING,
        limits: Limits = DEFAULT,
        windows: bool = True,
        sink: Sink | None = None,
    ) -> None:
        """Without `windows` a gzip layer is read at twice the speed and can't be read at random.

        `sink(offset, data)` gets the data area in order, lent for the call, in another thread; what
        it does not get is zero.
        """
        self._spacing = spacing
        self._limits = limits
        self._windows = windows
        self._stream: LayerStream | None = None
        self._head = b""
        self._size = 0
        self._digest = sha256()
        self._survey = Survey(limits, sink, limits.chunk if windows else _LOCAL_CHUNK)
        self._batch: list[Piece | Cut] = []
        self._batch_size = 0
        self._frames: dict[int, Future[bytes]] = {}
        self._surveying = Lane("layer-survey", _BATCHES)
        self._packing = Lane("layer-windows", _WINDOWS)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the blob.

        Raises:
            CorruptError: this is not a layer. Some errors come a few calls late.
            Exception: what the sink raised.
        """
        try:
            self._feed(piece)
        except CorruptError as error:
            self.close()
            raise self._placed(error) from error
        except BaseException:
            self.close()
            raise

    def finish(self) -> IndexedLayer:
        """Say that the blob ends here.

        Raises:
            CorruptError: it must not, or what was fed is not a layer.
            Exception: what the sink raised.
        """
        try:
            if self._stream is None:
                self._stream = self._open(self._head)
                self._run(self._stream.feed(self._head))
            self._run(self._stream.finish())
            self._pass_on()
            self._surveying.drain()
            self._packing.drain()
            return self._indexed()
        except CorruptError as error:
            raise self._placed(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Give up: end the threads. Needed only by who can't wait for the garbage collector."""
        self._surveying.close()
        self._packing.close()

    def _placed(self, error: CorruptError) -> CorruptError:
        """Say about where: lanes run behind, so no closer than this. Who feeds knows the name."""
        return CorruptError(
            f"layer is damaged in its first {self._size} bytes: {error.message}", hint=error.hint
        )

    def _feed(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limits.layer:
            raise CorruptError(f"layer of more than {self._limits.layer} bytes")
        self._digest.update(piece)
        if self._stream is None:
            self._head += piece
            if len(self._head) < _MAGIC:
                return
            self._stream = self._open(self._head)
            piece, self._head = self._head, b""
        self._run(self._stream.feed(piece))

    def _open(self, head: bytes) -> LayerStream:
        if head.startswith(gzip_member.MAGIC):
            return GzipStream(self._spacing, windows=self._windows)
        if len(head) >= _MAGIC and zstd_frame.is_frame(head[:_MAGIC]):
            return ZstdStream(self._spacing, self._limits)
        return RawStream(self._spacing)

    def _run(self, events: Iterator[Event]) -> None:
        for event in events:
            if isinstance(event, Window):
                self._frames[event.cut] = self._packing.submit(_packed, event)
                continue
            self._batch.append(event)
            self._batch_size += len(event.data) if isinstance(event, Piece) else 0
            if self._batch_size >= _BATCH or len(self._batch) >= _BATCH_EVENTS:
                self._pass_on()

    def _pass_on(self) -> None:
        batch, self._batch, self._batch_size = self._batch, [], 0
        self._surveying.submit(self._survey.take, batch)

    def _indexed(self) -> IndexedLayer:
        survey = self._survey
        tree, extents, root = survey.finish(self._size)
        frames = {cut: frame.result() for cut, frame in sorted(self._frames.items())}
        blob = b"".join(frames.values())
        chunks = survey.table.finish(
            self._size,
            survey.size,
            survey.content_size,
            survey.digests,
            {cut: len(frame) for cut, frame in frames.items()},
        )
        index = LayerIndex(
            layer_digest=f"sha256:{self._digest.hexdigest()}",
            layer_size=self._size,
            diff_id=survey.diff_id,
            merkle_root=root,
            windows_digest=f"sha256:{sha256(blob).hexdigest()}" if blob else "",
            tree=tree,
            extents=extents,
            chunks=chunks,
        )
        coarse = isinstance(self._stream, ZstdStream) and is_coarse(self._stream)
        return IndexedLayer(index, blob, random_access=survey.table.entered, coarse=coarse)


def _packed(window: Window) -> bytes:
    return pack(sparse(window.content, window.compressed, window.bits))
