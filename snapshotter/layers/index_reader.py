"""The sections of a layer index file -> records, one part at a time.

Checked here is what must be known to build the records at all; the rest is `validate`'s work.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bootseer.errors import CorruptError
from snapshotter.layers import sections
from snapshotter.layers.checks import at_most, refuse, refuse_rows
from snapshotter.layers.columns import Column, size_of, unpack
from snapshotter.layers.files import FILES, join_files
from snapshotter.layers.index_layout import (
    CHUNKS,
    DIGEST,
    EXTENTS,
    INODES,
    META,
    REGULAR,
    ROWS,
    TAR_BLOCK,
    XATTR_ENTRIES,
    XATTR_SETS,
    Counts,
    Kind,
    sum_gaps,
)
from snapshotter.layers.links import link_counts
from snapshotter.layers.records import (
    BLOCK,
    U64,
    ChunkTable,
    Extents,
    Inodes,
    Proof,
    Tree,
    XattrSet,
)
from snapshotter.limits import Limits


class IndexReader:
    """One index file: reads a section when it is asked for."""

    def __init__(self, data: memoryview, limits: Limits) -> None:
        self._data = data
        self._limits = limits
        self._table = sections.read_table(data, limits)
        self._sizes: Mapping[Kind, int] = {Kind.META: META.size}
        layer, diff, root, windows, size, *counts = META.unpack(self._section(Kind.META))
        self.layer_digest = f"sha256:{layer.hex()}"
        self.diff_id = f"sha256:{diff.hex()}"
        self.windows_digest = f"sha256:{windows.hex()}" if any(windows) else ""
        self.merkle_root = bytes(root)
        self.layer_size = int(size)
        self._counts = Counts(*counts)
        self._counts.check(limits)
        self._sizes = self._counts.sizes()

    def _section(self, kind: Kind) -> bytes:
        name = kind.name.lower()
        if kind not in self._table:
            raise CorruptError(f"layer index: section {name} is missing")
        at_most(f"{name}: size", self._sizes[kind], self._limits.index_section)
        return sections.read_section(self._data, self._table[kind], name, self._sizes[kind])

    def _columns(
        self, kind: Kind, columns: Sequence[Column], count: int
    ) -> dict[str, npt.NDArray[Any]]:
        return unpack(columns, np.frombuffer(self._section(kind), dtype=np.uint8), count)

    def tree(self, extents: Extents) -> Tree:
        """Return the tree; so far only what is needed to build it has been checked."""
        inodes = self._columns(Kind.INODES, INODES, self._counts.inodes)
        rows = self._columns(Kind.ROWS, ROWS, self._counts.rows)
        refuse_rows(rows["parent"] >= self._counts.inodes, "rows.parent", "is no inode")
        refuse_rows(rows["link"] >= self._counts.inodes, "rows.link", "is no inode")
        parent, link = rows["parent"].astype(np.uint32), rows["link"]
        new = link == 0
        if int(np.count_nonzero(new)) != self._counts.inodes - 1:
            raise refuse("rows.link", "does not leave a name to every inode")
        child = np.where(new, np.cumsum(new), link).astype(np.uint32)
        names = self._section(Kind.NAMES)
        return Tree(
            inodes=self._inodes(inodes, extents, parent, child),
            parent=parent,
            child=child,
            name_end=np.cumsum(rows["length"], dtype=np.uint64),
            names=names[: self._counts.names],
            targets=names[self._counts.names :],
            xattr_sets=self._xattr_sets(),
        )

    def _inodes(
        self,
        columns: Mapping[str, npt.NDArray[Any]],
        extents: Extents,
        parent: npt.NDArray[np.uint32],
        child: npt.NDArray[np.uint32],
    ) -> Inodes:
        mode = columns["mode"].astype(np.uint32)
        regular = np.flatnonzero(mode >> 12 == REGULAR)
        if len(regular) != self._counts.files:
            raise refuse("meta.files", "is not the number of regular files")
        files = self._columns(Kind.FILES, FILES, self._counts.files)
        size, data = columns["target"].astype(np.uint64), np.zeros(len(mode), dtype=np.uint64)
        size[regular], data[regular] = join_files(files, extents)
        return Inodes(
            mode=mode,
            uid=columns["uid"],
            gid=columns["gid"],
            mtime_s=columns["mtime_s"].astype(np.int64),
            mtime_ns=columns["mtime_ns"],
            size=size,
            rdev=columns["rdev"],
            data=data,
            nlink=link_counts(mode, parent, child),
            flags=columns["flags"],
            xattrs=columns["xattrs"],
        )

    def _xattr_sets(self) -> tuple[XattrSet, ...]:
        counts = self._counts
        raw = self._section(Kind.XATTRS)
        heads = size_of(XATTR_SETS, counts.xattr_sets)
        tails = heads + size_of(XATTR_ENTRIES, counts.xattr_entries)
        view = np.frombuffer(raw, dtype=np.uint8)
        sets = unpack(XATTR_SETS, view[:heads], counts.xattr_sets)["entries"]
        lengths = unpack(XATTR_ENTRIES, view[heads:tails], counts.xattr_entries)
        if int(sets.sum(dtype=np.uint64)) != counts.xattr_entries:
            raise refuse("xattrs.entries", f"do not add up to {counts.xattr_entries}")
        widths = np.stack([lengths["name"].astype(np.uint64), lengths["value"]], axis=1)
        if int(widths.sum(dtype=np.uint64)) != counts.xattr_bytes:
            raise refuse("xattrs.name, .value", f"do not add up to {counts.xattr_bytes}")
        ends = (np.cumsum(widths.reshape(-1), dtype=np.uint64) + np.uint64(tails)).tolist()
        parts = [raw[a:b] for a, b in zip([tails, *ends], ends, strict=False)]
        entries = list(zip(parts[::2], parts[1::2], strict=True))
        last = np.cumsum(sets, dtype=np.uint64).tolist()
        return tuple(tuple(entries[a:b]) for a, b in zip([0, *last], last, strict=False))

    def extents(self) -> Extents:
        """Return the extents, not yet checked; sums wrap around at 64 bits."""
        columns = self._columns(Kind.EXTENTS, EXTENTS, self._counts.extents)
        length = columns["length"]
        return Extents(
            data=sum_gaps(columns["data_gap"], length, BLOCK),
            tar=sum_gaps(columns["tar_gap"], length, TAR_BLOCK),
            length=length,
        )

    def chunks(self) -> ChunkTable:
        """Return the chunks, not yet checked; sums wrap around at 64 bits."""
        count = self._counts.chunks
        raw = np.frombuffer(self._section(Kind.CHUNKS), dtype=np.uint8)
        columns = unpack(CHUNKS, raw[: size_of(CHUNKS, count)], count)
        return ChunkTable(
            blob=_edges(columns["blob"]),
            tar=_edges(columns["tar"]),
            data=_edges(columns["data"]),
            digest=raw[size_of(CHUNKS, count) :].reshape(count, DIGEST),
            codec=columns["codec"],
            skip=columns["skip"],
            bits=columns["bits"],
            window=_edges(columns["window"]),
            proof=self._proof(),
        )

    def _proof(self) -> Proof:
        if Kind.PROOF not in self._table:
            return Proof.DATA
        value = self._section(Kind.PROOF)[0]
        if value not in set(Proof):
            raise refuse("proof", f"is {value}, which is not known")
        return Proof(value)


def _edges(lengths: U64) -> U64:
    """Return 0 and the running sums."""
    return np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(lengths, dtype=np.uint64)])
