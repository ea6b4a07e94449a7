"""Tar stream in; tree, extents, and on the way where each piece of content goes."""

from collections.abc import Sequence

from bootseer.errors import CorruptError
from snapshotter.layers.records import Extents, Tree
from snapshotter.layers.tar.apply import TreeBuilder
from snapshotter.layers.tar.data_area import DataArea, Segment
from snapshotter.layers.tar.reader import TarReader
from snapshotter.limits import DEFAULT, Limits


class TarIndexer:
    """Reads an uncompressed layer once, in pieces of any size.

    Not safe for several threads; useless after an error.
    """

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._reader = TarReader(limits)
        self._area = DataArea(limits)
        self._builder = TreeBuilder(self._area, limits)
        self._fed = 0

    def feed(self, piece: bytes | memoryview) -> Sequence[Segment]:
        """Take the next bytes; return the runs of file content within them, in tar order.

        Runs of what no file of the layer needs (headers, padding, contents of whiteouts) are left
        out. Raises `CorruptError`.
        """
        start = self._fed
        self._fed += len(piece)
        if self._fed > self._limits.layer_tar:
            raise CorruptError(f"a layer of more than {self._limits.layer_tar} bytes")
        for member in self._reader.feed(piece):
            self._builder.add(member)
        return self._area.between(start, self._fed)

    def finish(self) -> tuple[Tree, Extents]:
        """Say that the stream ends here; return what it held. Raises `CorruptError`."""
        self._reader.finish()
        return self._builder.finish(), self._area.extents()

    @property
    def data_size(self) -> int:
        """Where the last file begun so far ends in the data area: bytes, rounded up to 4 KiB."""
        return self._area.size
