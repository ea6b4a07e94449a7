"""Reads hot packs: from a stream as it comes in, or frame by frame in any order. No I/O.

A pack is opened with what the node's own indexes say of its layers, never with what the pack says:
blocks of a layer with another Merkle root are passed over, and a block that does not have its hash
is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from bootseer.merkle import hash_blocks
from snapshotter.hot.hashtree import ProofPlan, ProvedHashes
from snapshotter.hot.pack_layout import (
    HEAD,
    PackDirectory,
    PackHead,
    PackLayer,
    parse_directory,
    parse_head,
    refuse,
)
from snapshotter.layers.records import BLOCK, I64
from snapshotter.limits import DEFAULT, Limits


@dataclass(frozen=True, slots=True)
class Expected:
    """What the index of a layer says of its data area."""

    merkle_root: bytes
    data_size: int
    """In bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class HotBlocks:
    """Blocks of one layer out of one frame, verified."""

    layer: int
    """Row of the layer in the pack's directory."""
    layer_digest: str
    position: int
    """Where they start in the layer's hot area, in blocks; they follow each other there."""
    blocks: I64
    """Their numbers in the data area, in first-touch order."""
    data: memoryview
    """Their bytes, one behind the other."""


class OpenedPack:
    """A pack whose directory and hashes are there and right.

    Concurrency: nothing changes after construction, so frames can be read in many threads at once.
    """

    def __init__(
        self,
        directory: PackDirectory,
        hashes: bytes | memoryview,
        expected: Mapping[str, Expected],
        limits: Limits = DEFAULT,
    ) -> None:
        """`hashes` are the bytes from `hashes_at` to `frames_at`.

        `expected` has, by layer digest, the layers whose blocks are wanted. Raises `CorruptError`.
        """
        self.directory = directory
        self._ranks = _ranks(directory.blocks.layer, len(directory.layers))
        self._proved: dict[int, ProvedHashes] = {}
        view, at = memoryview(hashes), 0
        for row, layer in enumerate(directory.layers):
            blocks = directory.blocks_of(row)
            plan = ProofPlan(layer.data_size // BLOCK, blocks, limits.hot_hashes)
            proof = view[at : at + plan.size]
            at += plan.size
            if at > len(view):
                raise refuse("hashes", "are too few for its blocks")
            if _is_expected(layer, expected):
                what = f"hot pack: layer {layer.layer_digest}"
                self._proved[row] = plan.verify(proof, layer.merkle_root, what)
        if at != len(view):
            raise refuse("hashes", f"take {len(view)} bytes, expected {at}")

    @property
    def wanted(self) -> frozenset[int]:
        """Rows of the layers whose blocks are yielded. The others are not, or not so, expected."""
        return frozenset(self._proved)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.directory.head.frames

    def place(self, frame: int) -> tuple[int, int]:
        """Return (offset, length) of a frame in the pack."""
        start, end = self.directory.frame_at[frame : frame + 2].tolist()
        return start, end - start

    def is_wanted(self, frame: int) -> bool:
        """Say whether a frame has blocks that are wanted."""
        rows = np.unique(self.directory.blocks.layer[self._rows(frame)])
        return not self.wanted.isdisjoint(rows.tolist())

    def unpack(self, frame: int, stored: bytes | bytearray | memoryview) -> tuple[HotBlocks, ...]:
        """Return the verified blocks of a frame, one value a layer. Raises `CorruptError`."""
        if len(stored) != self.place(frame)[1]:
            raise refuse(f"frame {frame}", f"has {len(stored)} bytes, not {self.place(frame)[1]}")
        rows = self._rows(frame)
        layers = self.directory.blocks.layer[rows]
        wanted = [row for row in np.unique(layers).tolist() if row in self._proved]
        if not wanted:
            return ()
        raw = _decompress(stored, self.directory.raw_size(frame), frame)
        return tuple(self._verify(frame, row, rows, layers == row, raw) for row in wanted)

    def _rows(self, frame: int) -> slice:
        """Return which of the pack's blocks a frame has."""
        first = frame * self.directory.head.frame_blocks
        return slice(
            first, min(first + self.directory.head.frame_blocks, self.directory.head.blocks)
        )

    def _verify(
        self,
        frame: int,
        layer: int,
        rows: slice,
        mine: npt.NDArray[np.bool_],
        raw: bytes,
    ) -> HotBlocks:
        blocks: I64 = self.directory.blocks.block[rows][mine]
        data = memoryview(raw)
        if len(blocks) * BLOCK < len(raw):
            data = np.frombuffer(raw, dtype=np.uint8).reshape(-1, BLOCK)[mine].reshape(-1).data
        found, right = hash_blocks(data), self._proved[layer].of(blocks)
        digest = self.directory.layers[layer].layer_digest
        if found != right:
            differ = np.frombuffer(found, dtype="V32") != np.frombuffer(right, dtype="V32")
            block = int(blocks[np.argmax(differ)])
            raise refuse(f"frame {frame}", f"has a wrong block {block} of layer {digest}")
        position = int(self._ranks[rows][mine][0])
        return HotBlocks(layer, digest, position, blocks, data)


class PackStream:
    """Takes the bytes of a pack as they come in and gives out its frames.

    Feed it with `receive`, then call `next_frame` (or `next_stored`, to unpack elsewhere) until it
    returns None. Unread input is all it keeps; frames come out one at a time, as a few bytes can
    be many blocks.

    Concurrency: none; one task feeds and reads it.
    """

    def __init__(self, expected: Mapping[str, Expected], limits: Limits = DEFAULT) -> None:
        """Read a pack from its first byte. `expected` as in `OpenedPack`."""
        self._expected = expected
        self._limits = limits
        self._buffer = bytearray()
        self._received = 0
        self._at = 0
        self._head: PackHead | None = None
        self._directory: PackDirectory | None = None
        self._opened: OpenedPack | None = None
        self._frame = 0
        self._stop = 0

    @classmethod
    def resume(cls, opened: OpenedPack, frame: int, stop: int | None = None) -> "PackStream":
        """Return a stream of frames `frame` up to `stop`: feed it from the first one's `place`."""
        stream = cls({})
        stream._opened, stream._directory = opened, opened.directory
        stream._head = opened.directory.head
        stream._frame, stream._stop = frame, opened.frames if stop is None else stop
        stream._at = int(opened.directory.frame_at[frame])
        return stream

    @property
    def opened(self) -> OpenedPack | None:
        """The pack, as soon as its directory and hashes have come in."""
        return self._opened

    @property
    def received(self) -> int:
        """Bytes that came in so far."""
        return self._received

    @property
    def resume_at(self) -> int:
        """Offset in the pack of the first byte that no result rests on yet: ask again from here."""
        return self._at

    @property
    def end(self) -> int:
        """Offset in the pack of the first byte that has not come in."""
        return self._at + len(self._buffer)

    @property
    def next_number(self) -> int:
        """Number of the frame that comes out next."""
        return self._frame

    @property
    def done(self) -> bool:
        """Say whether all frames came out."""
        return self._opened is not None and self._frame == self._stop

    def receive(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._buffer += data
        self._received += len(data)

    def next_frame(self) -> tuple[HotBlocks, ...] | None:
        """Return the next frame's blocks; None: more input is needed, or it is `done`.

        Raises `CorruptError`, also for bytes behind the last frame.
        """
        stored = self.next_stored()
        if stored is None or self._opened is None:
            return None
        return self._opened.unpack(*stored)

    def open(self) -> OpenedPack | None:
        """Return the pack if its directory and hashes have come in. Raises `CorruptError`."""
        if self._opened is None:
            self._open()
        return self._opened

    def next_stored(self) -> tuple[int, bytes] | None:
        """Return the next frame as it is stored, for `OpenedPack.unpack`; None: as `next_frame`."""
        self.open()
        if self.done and self._buffer:
            raise refuse("end", f"is followed by {len(self._buffer)} bytes")
        if self._opened is None or self.done:
            return None
        data = self._take(self._opened.place(self._frame)[1])
        if data is None:
            return None
        self._frame += 1
        return self._frame - 1, data

    def _open(self) -> None:
        """Read what comes before the frames, as far as it is there."""
        if self._head is None and (data := self._take(HEAD.size)) is not None:
            self._head = parse_head(data, self._limits)
        if self._head is None:
            return
        size = self._head.hashes_at - HEAD.size
        if self._directory is None and (data := self._take(size)) is not None:
            self._directory = parse_directory(self._head, data, self._limits)
        if self._directory is None:
            return
        if (data := self._take(self._head.hashes)) is not None:
            self._opened = OpenedPack(self._directory, data, self._expected, self._limits)
            self._stop = self._opened.frames

    def _take(self, size: int) -> bytes | None:
        if len(self._buffer) < size:
            return None
        with memoryview(self._buffer) as view:
            data = bytes(view[:size])
        del self._buffer[:size]
        self._at += size
        return data


def _is_expected(layer: PackLayer, expected: Mapping[str, Expected]) -> bool:
    known = expected.get(layer.layer_digest)
    return known == Expected(layer.merkle_root, layer.data_size)


def _ranks(layers: I64, count: int) -> I64:
    """Return how many rows of the same layer come before each row."""
    order = np.argsort(layers, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(layers, minlength=count))])
    ranks = np.empty(len(layers), dtype=np.int64)
    ranks[order] = np.arange(len(layers)) - starts[layers[order]]
    return ranks


def _decompress(stored: bytes | bytearray | memoryview, size: int, frame: int) -> bytes:
    if len(stored) == size:
        return bytes(stored)
    try:
        if zstandard.frame_content_size(stored) != size:
            raise refuse(f"frame {frame}", "is a zstd frame of another size")
        return zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise refuse(f"frame {frame}", f"cannot be decompressed: {error}") from error
