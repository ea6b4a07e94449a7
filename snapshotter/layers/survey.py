"""The uncompressed half of indexing: tar bytes in order -> tree, extents, digests, chunk rows."""

from collections.abc import Iterable
from hashlib import sha256

from snapshotter.layers.content import ContentHasher, Sink
from snapshotter.layers.events import Cut, Piece
from snapshotter.layers.records import BLOCK, Extents, Tree
from snapshotter.layers.table import TableBuilder
from snapshotter.layers.tar import TarIndexer
from snapshotter.limits import Limits


class Survey:
    """Looks at every byte of the layer once. For one thread at a time; useless after an error."""

    def __init__(self, limits: Limits, sink: Sink | None, most: int) -> None:
        """`most`: bytes of a chunk, in tar and data area; longer ones are cut by force."""
        self._most = most
        self._digest = sha256()
        self._tar = TarIndexer(limits)
        self._content = ContentHasher(sink)
        self._unplaced = 0
        self.table = TableBuilder(limits)
        self.size = 0
        """Bytes of the uncompressed layer so far."""

    @property
    def diff_id(self) -> str:
        """The digest of the uncompressed layer so far."""
        return f"sha256:{self._digest.hexdigest()}"

    def take(self, events: Iterable[Piece | Cut]) -> None:
        """Look at what comes next. Raises `CorruptError`, and what the sink raises."""
        for event in events:
            if isinstance(event, Cut):
                self.table.add(event, self.size)
                self._unplaced += 1
                continue
            view = memoryview(event.data)
            for at in range(0, len(view), self._most):
                self._piece(view[at : at + self._most], event.blob)

    def finish(self, blob: int) -> tuple[Tree, Extents, bytes]:
        """Say that the layer, `blob` bytes of it, ends here; return tree, extents, Merkle root."""
        tree, extents = self._tar.finish()
        self._advance(self._tar.data_size, self.size, blob)
        if len(self.table):
            self._content.cut()
        return tree, extents, self._content.finish()

    @property
    def content_size(self) -> int:
        """Bytes of the data area so far."""
        return self._content.position

    @property
    def digests(self) -> bytes:
        """Of the chunks, once finished."""
        return bytes(self._content.digests)

    def _piece(self, data: memoryview, blob: int) -> None:
        if self.size + len(data) - self.table.tar > self._most:
            self.table.force(blob, self.size)
            self._unplaced += 1
        self._digest.update(data)
        for offset, tar, length in self._tar.feed(data):
            self._advance(offset, tar, blob, length)
            self._content.write(data[tar - self.size : tar - self.size + length])
        self.size += len(data)

    def _advance(self, offset: int, tar: int, blob: int, length: int = 0) -> None:
        """Go on to `offset` of the data area, where content from `tar` on, or the end, lies.

        A cut is at the next byte of a file, or where the next file may start if that is nearer.
        Zeros up to there belong to the chunk before.
        """
        content = self._content
        if self._unplaced:
            content.zeros(min(offset, -(-content.position // BLOCK) * BLOCK) - content.position)
            self._place()
        while offset + length - content.start > self._most:
            room = content.start + self._most - content.position
            content.zeros(max(0, min(room, offset - content.position)))
            self.table.force(blob, tar)
            self._unplaced += 1
            self._place()
            if content.position == offset:
                break
        content.zeros(offset - content.position)

    def _place(self) -> None:
        """Let the chunks that wait for a place begin here."""
        for _ in range(self._unplaced):
            if self.table.placed:
                self._content.cut()
            self.table.place(self._content.position)
        self._unplaced = 0
