"""Where everything of a metadata image goes: positions and sizes, no bytes yet.

Every inode is an *item* of three parts: the fixed part (inode and inline xattrs), an inline tail
that must end in the block in which the item starts, and a trailer that may run on: the chunk table
of a file in a hot layout (see `hot`), aligned to 8 bytes.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bootseer.errors import CorruptError
from snapshotter import limits as bounds
from snapshotter.erofs import format as erofs
from snapshotter.erofs.directories import DirectoryPlan, left_out, plan_directories
from snapshotter.erofs.format import DataLayout
from snapshotter.erofs.hot import ChunkPlan, HotLayout, no_chunks, plan_chunks
from snapshotter.erofs.options import Options
from snapshotter.erofs.runs import starts_of
from snapshotter.erofs.xattrs import XattrPlan, plan_xattrs
from snapshotter.layers.records import BLOCK, I64, Tree

_DIR, _REG, _LNK = 4, 8, 10
"""File types, as `st_mode >> 12`."""
_CHUNK: Final = erofs.CHUNK_INDEX.itemsize
_ADDRESSES: Final = 1 << 32
"""Blocks that EROFS can address (`blkaddr` has 32 bits)."""


@dataclass(frozen=True, slots=True)
class Device:
    """An extra device: where its blocks appear in the unified address space."""

    blocks: int
    mapped_blkaddr: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The layout of one metadata image; one value an inode unless said otherwise."""

    blocks: int
    """Blocks of the image."""
    devices: tuple[Device, ...]
    written: I64
    """Numbers of the inodes that are written, increasing."""
    position: I64
    """Byte offset; -1 for an inode that is not written."""
    layout: I64
    """`DataLayout`."""
    size: I64
    """`i_size`."""
    address: I64
    """Regular files, directories, symlinks: first block; device nodes: rdev; chunk-based files:
    the chunk format."""
    shared_block: int
    """First block of the shared xattrs."""
    symlinks: I64
    """Inode numbers of the symlinks, increasing (not one value an inode)."""
    symlink_at: I64
    """Byte offset of each symlink's target (one value a symlink)."""
    block_at: I64
    """Byte offset of each directory block (one value a block)."""
    directories: DirectoryPlan
    xattrs: XattrPlan
    chunks: ChunkPlan
    chunks_at: I64
    """Byte offset of each chunk table (one value a chunk-based file)."""


def plan(tree: Tree, data_blocks: int, options: Options, hot: HotLayout | None = None) -> Plan:
    """Lay out the metadata of `tree`, whose data area has `data_blocks` blocks.

    Raises `CorruptError` where the tree cannot be expressed: file contents or hot blocks past the
    data area, extended attributes or sizes too large.
    """
    return _Layout(tree, data_blocks, options, hot).finish()


class _Layout:
    """One run of the planner: each step fills in what the steps before it made possible."""

    def __init__(
        self, tree: Tree, data_blocks: int, options: Options, hot: HotLayout | None
    ) -> None:
        self.tree = tree
        self.type = tree.inodes.mode >> 12
        self.data_blocks = data_blocks
        self.hot_blocks = len(hot.blocks) if hot else 0
        self.full = (self.type == _REG) & (tree.inodes.size > 0)
        self._check_contents()
        self.chunks = self._chunks(hot)
        self.written = np.flatnonzero(~left_out(tree, bottom=options.bottom))
        self.xattrs = plan_xattrs(tree, options)
        self.directories = plan_directories(tree, bottom=options.bottom)
        self.symlinks = np.flatnonzero(self.type == _LNK)
        self.fixed = erofs.INODE.itemsize + self.xattrs.size[self.xattrs.of_inode]
        self.size = np.where(self.type == _REG, tree.inodes.size, 0).astype(np.int64)
        self.size[self.symlinks] = tree.inodes.size[self.symlinks].astype(np.int64)
        self.size[self.directories.dir_inode] = self.directories.size

    def finish(self) -> Plan:
        """Place inodes, then what needs whole blocks, then the devices behind them."""
        inline = self._inline_tails()
        padding, trailer = self._trailers()
        position, end = self._place(inline, trailer)
        layout = np.where(inline > 0, DataLayout.FLAT_INLINE, DataLayout.FLAT_PLAIN)
        layout[self.chunks.files] = DataLayout.CHUNK_BASED
        shared_block = -(-end // BLOCK)
        first = shared_block + -(-len(self.xattrs.shared) // BLOCK)
        block_at, dir_address, first = self._directory_blocks(inline, position, first)
        symlink_at, first = self._symlink_blocks(inline, position, first)
        address = self._addresses(first)
        address[self.directories.dir_inode] = dir_address
        plain = self.symlinks[inline[self.symlinks] == 0]
        address[plain] = symlink_at[inline[self.symlinks] == 0] // BLOCK
        _check_size(first, self.data_blocks + self.hot_blocks)
        files = self.chunks.files
        return Plan(
            blocks=first,
            devices=self._devices(first),
            written=self.written,
            position=position,
            layout=layout,
            size=self.size,
            address=address,
            shared_block=shared_block,
            symlinks=self.symlinks,
            symlink_at=symlink_at,
            block_at=block_at,
            directories=self.directories,
            xattrs=self.xattrs,
            chunks=self.chunks,
            chunks_at=position[files] + self.fixed[files] + padding,
        )

    def _chunks(self, hot: HotLayout | None) -> ChunkPlan:
        if hot is None:
            return no_chunks()
        hot.check(self.data_blocks)
        return plan_chunks(self.tree.inodes, self.full, hot)

    def _trailers(self) -> tuple[I64, I64]:
        """Return the padding before each chunk table, and what follows each inode's fixed part."""
        trailer = np.zeros(len(self.size), dtype=np.int64)
        files = self.chunks.files
        padding = -self.fixed[files] % _CHUNK
        trailer[files] = padding + np.diff(self.chunks.start) * _CHUNK
        return padding, trailer

    def _devices(self, first: int) -> tuple[Device, ...]:
        """Return the device table, its devices mapped behind the image."""
        sizes = [size for size in (self.data_blocks, self.hot_blocks) if size]
        starts = [first, first + self.data_blocks]
        return tuple(map(Device, sizes, starts))

    def _inline_tails(self) -> I64:
        """Return the bytes that follow each inode in its own block; 0 where they do not fit."""
        tail = np.zeros(len(self.size), dtype=np.int64)
        tail[self.symlinks] = self.size[self.symlinks]
        tail[self.directories.dir_inode] = self.directories.tail
        return np.where(self.fixed + tail <= BLOCK, tail, 0)

    def _place(self, inline: I64, trailer: I64) -> tuple[I64, int]:
        start = erofs.SUPER_OFFSET + erofs.SUPER_BLOCK.itemsize
        start += erofs.DEVICE_SLOT.itemsize * (bool(self.data_blocks) + bool(self.hot_blocks))
        whole = (self.fixed + inline + trailer)[self.written]
        position = np.full(len(self.size), -1, dtype=np.int64)
        position[self.written], end = place_items(-(-whole // erofs.SLOT) * erofs.SLOT, start)
        return position, end

    def _directory_blocks(self, inline: I64, position: I64, first: int) -> tuple[I64, I64, int]:
        """Return where each directory block goes, each directory's address, the next free block."""
        inode = self.directories.dir_inode
        count = np.diff(self.directories.dir_block)
        whole = count - (inline[inode] > 0)
        address = first + starts_of(whole)
        of_block = np.repeat(np.arange(len(inode)), count)
        rank = np.arange(len(of_block)) - self.directories.dir_block[:-1][of_block]
        at = (address[:-1][of_block] + rank) * BLOCK
        is_tail = rank >= whole[of_block]
        owner = inode[of_block[is_tail]]
        at[is_tail] = position[owner] + self.fixed[owner]
        return at, np.where(whole > 0, address[:-1], 0), int(address[-1])

    def _symlink_blocks(self, inline: I64, position: I64, first: int) -> tuple[I64, int]:
        """Return where each symlink's target goes and the next free block."""
        at = position[self.symlinks] + self.fixed[self.symlinks]
        plain = np.flatnonzero((inline[self.symlinks] == 0) & (self.size[self.symlinks] > 0))
        at[plain] = (first + np.arange(len(plain))) * BLOCK
        return at, first + len(plain)

    def _addresses(self, mapped_blkaddr: int) -> I64:
        """Return `i_u` of regular files and device nodes."""
        inodes = self.tree.inodes
        block = (inodes.data // BLOCK).astype(np.int64) + mapped_blkaddr
        address = np.where(self.full, block, inodes.rdev.astype(np.int64))
        address[self.chunks.files] = erofs.CHUNK_FORMAT_INDEXES
        return address

    def _check_contents(self) -> None:
        """Raise `CorruptError` unless all file contents are inside the data area."""
        inodes, room = self.tree.inodes, self.data_blocks
        block = inodes.data // BLOCK
        count = inodes.size // BLOCK + (inodes.size % BLOCK > 0)
        wrong = (count > room) | (block > room) | (inodes.data % BLOCK != 0)
        wrong = self.full & (wrong | (block + count > room))
        if wrong.any():
            raise CorruptError(
                f"inode {int(np.argmax(wrong))}: content is not inside the data area"
                f" of {self.data_blocks} blocks",
                hint="the layer index is damaged: index the layer again",
            )


def _check_size(blocks: int, device_blocks: int) -> None:
    if blocks * BLOCK > bounds.DEFAULT.erofs_metadata:
        raise CorruptError(f"metadata of {blocks} blocks is over the limit")
    if blocks + device_blocks >= _ADDRESSES:
        raise CorruptError(f"devices of {device_blocks} blocks are more than EROFS can address")


def place_items(sizes: I64, start: int) -> tuple[I64, int]:
    """Pack items into blocks in order: (byte offset of each, end).

    `sizes` are multiples of 32. An item that fits a block does not cross one; a larger one starts
    at a block boundary. The loop is per block, not per item.
    """
    ends = starts_of(sizes)
    offsets = np.empty(len(sizes), dtype=np.int64)
    item, at = 0, start
    while item < len(sizes):
        room = BLOCK - at % BLOCK
        stop = int(ends.searchsorted(ends[item] + room, side="right")) - 1
        if stop == item and room < BLOCK:
            at += room
            continue
        stop = max(stop, item + 1)
        offsets[item:stop] = at + ends[item:stop] - ends[item]
        at += int(ends[stop] - ends[item])
        item = stop
    return offsets, at
