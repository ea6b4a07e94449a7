"""Write the bytes that a `Plan` laid out."""

import numpy as np

from snapshotter.erofs import format as erofs
from snapshotter.erofs.crc32c import crc32c
from snapshotter.erofs.hot import chunk_entries
from snapshotter.erofs.options import Options
from snapshotter.erofs.plan import Plan
from snapshotter.erofs.runs import copy_runs, starts_of
from snapshotter.layers.records import BLOCK, I64, U8, U32, Tree


def emit(layout: Plan, tree: Tree, options: Options) -> memoryview:
    """Return the metadata image of `tree`."""
    image = np.zeros(layout.blocks * BLOCK, dtype=np.uint8)
    _inodes(image, layout, tree)
    _xattrs(image, layout)
    _chunk_tables(image, layout)
    _directories(image, layout, tree)
    _symlinks(image, layout, tree)
    _superblock(image, layout, options)
    return image.data


def _inodes(image: U8, layout: Plan, tree: Tree) -> None:
    inodes, rows = tree.inodes, layout.written
    table = np.zeros(len(rows), dtype=erofs.INODE)
    xattr_size = layout.xattrs.size[layout.xattrs.of_inode[rows]]
    header = erofs.XATTR_IBODY_HEADER.itemsize
    table["i_format"] = layout.layout[rows] << 1 | erofs.INODE_EXTENDED
    table["i_xattr_icount"] = np.where(xattr_size > 0, (xattr_size - header) // 4 + 1, 0)
    table["i_mode"] = inodes.mode[rows]
    table["i_size"] = layout.size[rows]
    table["i_u"] = layout.address[rows]
    table["i_ino"] = rows + 1
    table["i_uid"] = inodes.uid[rows]
    table["i_gid"] = inodes.gid[rows]
    table["i_mtime"] = inodes.mtime_s[rows]
    table["i_mtime_nsec"] = inodes.mtime_ns[rows]
    table["i_nlink"] = inodes.nlink[rows]
    halves = table.view(np.uint8).reshape(len(rows), 2, erofs.SLOT)
    slots = image.reshape(-1, erofs.SLOT)
    nid = layout.position[rows] // erofs.SLOT
    slots[nid] = halves[:, 0]
    slots[nid + 1] = halves[:, 1]


def _xattrs(image: U8, layout: Plan) -> None:
    plan = layout.xattrs
    of_inode = plan.of_inode[layout.written]
    carriers = np.flatnonzero(plan.size[of_inode] > 0)
    sets = of_inode[carriers]
    copy_runs(
        image,
        layout.position[layout.written[carriers]] + erofs.INODE.itemsize,
        np.frombuffer(plan.bodies, dtype=np.uint8),
        plan.start[sets],
        plan.size[sets],
    )
    at = layout.shared_block * BLOCK
    image[at : at + len(plan.shared)] = np.frombuffer(plan.shared, dtype=np.uint8)


def _chunk_tables(image: U8, layout: Plan) -> None:
    words = image.view("<u8")
    entries = chunk_entries(layout.chunks).view("<u8")
    count = np.diff(layout.chunks.start)
    # Tables are aligned to their entries: a table is a run of whole words.
    to = np.repeat(layout.chunks_at // 8 - layout.chunks.start[:-1], count)
    words[to + np.arange(len(entries))] = entries


def _directories(image: U8, layout: Plan, tree: Tree) -> None:
    plan = layout.directories
    count = np.diff(plan.block_entry)
    block = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(block)) - plan.block_entry[block]
    name_starts = starts_of(plan.entry_length)
    nameoff = erofs.DIRENT.itemsize * count[block]
    nameoff += name_starts[:-1] - name_starts[plan.block_entry[block]]
    entries = np.zeros(len(block), dtype=erofs.DIRENT)
    entries["nid"] = layout.position[plan.entry_inode] // erofs.SLOT
    entries["nameoff"] = nameoff
    entries["file_type"] = erofs.FILE_TYPE[tree.inodes.mode[plan.entry_inode] >> 12]
    at = layout.block_at[block]
    _scatter_words(image, at + erofs.DIRENT.itemsize * rank, entries.view("<u4").reshape(-1, 3))
    copy_runs(image, at + nameoff, plan.source, plan.entry_name, plan.entry_length)


def _scatter_words(image: U8, at: I64, rows: U32) -> None:
    """Write rows of 4-byte words at byte offsets that are multiples of 4."""
    words = image.view("<u4")
    for column in range(rows.shape[1]):
        words[at // 4 + column] = rows[:, column]


def _symlinks(image: U8, layout: Plan, tree: Tree) -> None:
    lengths = layout.size[layout.symlinks]
    copy_runs(
        image,
        layout.symlink_at,
        np.frombuffer(tree.targets, dtype=np.uint8),
        starts_of(lengths)[:-1],
        lengths,
    )


def _superblock(image: U8, layout: Plan, options: Options) -> None:
    """Write superblock and device table; last, because the checksum covers the rest of block 0."""
    super_end = erofs.SUPER_OFFSET + erofs.SUPER_BLOCK.itemsize
    block = np.zeros(1, dtype=erofs.SUPER_BLOCK)
    block["magic"] = erofs.SUPER_MAGIC
    block["feature_compat"] = erofs.FEATURE_COMPAT_SB_CHKSUM | erofs.FEATURE_COMPAT_MTIME
    block["blkszbits"] = erofs.BLOCK_BITS
    block["root_nid"] = layout.position[0] // erofs.SLOT
    block["inos"] = len(layout.written)
    block["blocks"] = layout.blocks
    block["xattr_blkaddr"] = layout.shared_block
    block["uuid"] = np.void(options.uuid)
    if layout.devices:
        chunked = erofs.FEATURE_INCOMPAT_CHUNKED_FILE if len(layout.chunks.files) else 0
        block["feature_incompat"] = erofs.FEATURE_INCOMPAT_DEVICE_TABLE | chunked
        block["extra_devices"] = len(layout.devices)
        block["devt_slotoff"] = super_end // erofs.DEVICE_SLOT.itemsize
    slots = np.zeros(len(layout.devices), dtype=erofs.DEVICE_SLOT)
    slots["blocks"] = [device.blocks for device in layout.devices]
    slots["mapped_blkaddr"] = [device.mapped_blkaddr for device in layout.devices]
    image[super_end : super_end + slots.nbytes] = slots.view(np.uint8)
    image[erofs.SUPER_OFFSET : super_end] = block.view(np.uint8)
    block["checksum"] = crc32c(image[erofs.SUPER_OFFSET : BLOCK].tobytes())
    image[erofs.SUPER_OFFSET : super_end] = block.view(np.uint8)
