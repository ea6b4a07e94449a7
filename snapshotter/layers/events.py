"""What reading a compressed layer yields, in order: tar bytes, and where it can be entered."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeAlias

from snapshotter.layers.records import Codec


class Piece(NamedTuple):
    """The next bytes of the uncompressed layer, at most 1 MiB."""

    data: bytes | memoryview
    blob: int
    """About where in the blob they come from: only to spread cuts that are not checkpoints."""


class Cut(NamedTuple):
    """A chunk starts here, between the pieces before and behind. Fields as in `ChunkTable`."""

    blob: int
    codec: Codec
    skip: int = 0
    bits: int = 0


class Window(NamedTuple):
    """What a cut needs to be entered. Comes some time after its cut."""

    cut: int
    """Which cut, counted from 0 in the order they came."""
    content: bytes
    """The bytes before the cut, up to 32 KiB."""
    bits: int
    """Bits of the first byte of `compressed` that belong to the chunk before."""
    compressed: bytes
    """The beginning of what lies behind the cut."""


Event: TypeAlias = Piece | Cut | Window


class LayerStream(Protocol):
    """Reads one compressed format. Useless after an error."""

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Take the next bytes of the blob; exhaust the iterator. Raises `CorruptError`."""
        ...

    def finish(self) -> Iterator[Event]:
        """Say that the blob ends here. Raises `CorruptError` if it should not."""
        ...
