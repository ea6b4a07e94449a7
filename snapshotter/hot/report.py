"""What the records of an image say, in a form to be looked at: totals, layers, files, time. Pure.

Records and decoded layer indexes go in, a `HotReport` comes out; whoever shows it (terminal, JSON,
page) only draws. Everything in it is bounded by `Detail`, however much was recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bootseer.errors import CorruptError
from snapshotter.hot.merge import merge
from snapshotter.hot.owners import NOBODY, Paths, file_map, owners
from snapshotter.hot.ranges import expand
from snapshotter.hot.record import Ended, HotLayer, MergedRecord, Record
from snapshotter.layers.records import BLOCK, I64, LayerIndex
from snapshotter.limits import DEFAULT, Limits

UNKNOWN: Final = -1
"""In `HeatCells.file`: the layer has no usable index, or the block is no file's."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How fine a report is. All are counts."""

    cells: int = 6144
    """Cells of all heat maps together, at most; but a layer with data has at least one."""
    buckets: int = 200
    """Steps of the timeline, at most."""
    files: int = 10_000
    """Files that are listed, those with the most hot blocks."""


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """A layer of the image, and its published index where it has a usable one."""

    digest: str
    index_digest: str | None = None
    index: LayerIndex | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One recorded start."""

    created: int
    """When recording began, in seconds since the epoch."""
    length_ms: int
    ended: Ended
    kernel: str
    architecture: str
    hot_blocks: int


@dataclass(frozen=True, slots=True)
class HotFile:
    """A file that was touched."""

    layer: int
    """Row in `HotReport.layers`."""
    start: int
    """Where it starts: block of the layer's data area."""
    path: bytes
    """Without a slash in front, in whatever encoding; one of its names."""
    other_names: int
    """Further names (hard links) in the layer."""
    size: int
    """Bytes."""
    hot_blocks: int
    first_ms: int
    """When it was touched first."""

    @property
    def blocks(self) -> int:
        """Blocks of the file."""
        return -(-self.size // BLOCK)


@dataclass(frozen=True, slots=True, eq=False)
class HeatCells:
    """The cells of a layer's heat map that have hot blocks, in ascending order. One row a cell."""

    cell: I64
    """Number of the cell: it starts at block `cell * HotReport.cell_blocks` of the data area."""
    hot: I64
    """Hot blocks in it, at least 1."""
    first_ms: I64
    """When the first of them was touched."""
    file: I64
    """The file that was touched then: row in `HotReport.files`, or `UNKNOWN`."""
    block: I64
    """The block that was touched then, of the data area."""


@dataclass(frozen=True, slots=True)
class LayerHeat:
    """What was touched of one layer."""

    layer: HotLayer
    position: int | None
    """In the image, 0 is the bottom layer; None if the image does not have it."""
    runs: int
    """In how many of the runs it was watched."""
    named: bool
    """The index that its blocks are numbered by is at hand: files have names."""
    hot_blocks: int
    hot_files: int
    cells: HeatCells


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """How much was touched by when."""

    bucket_ms: int
    """Bucket i ends at (i + 1) * `bucket_ms`, exclusive."""
    blocks: I64
    """Layers x buckets: blocks of the layer touched before the end of the bucket."""


@dataclass(frozen=True, slots=True)
class HotReport:
    """What all recorded runs of an image and workload have in common."""

    manifest_digest: str
    workload: str
    runs: tuple[Run, ...]
    """Oldest first."""
    layers: tuple[LayerHeat, ...]
    """Bottom layer first; those that the image does not have come last."""
    files: tuple[HotFile, ...]
    """Those with the most hot blocks first."""
    timeline: Timeline
    last_ms: int
    """When the last block was touched first; 0 if none was."""
    cell_blocks: int
    """Blocks in a cell of the heat maps, the same in all layers: a power of two."""

    @property
    def hot_blocks(self) -> int:
        """Hot blocks of all layers."""
        return sum(heat.hot_blocks for heat in self.layers)

    @property
    def hot_files(self) -> int:
        """Files with hot blocks, listed or not."""
        return sum(heat.hot_files for heat in self.layers)

    @property
    def data_size(self) -> int:
        """Bytes of all data areas."""
        return sum(heat.layer.data_size for heat in self.layers)


@dataclass(frozen=True, slots=True, eq=False)
class _Touches:
    """Hot blocks one by one, in first-touch order. `layer` is a row of the report."""

    layer: I64
    block: I64
    time_ms: I64
    inode: I64
    """Of the file that the block belongs to, or `NOBODY`."""


def make_report(
    records: Iterable[Record],
    image: Sequence[ImageLayer],
    detail: Detail | None = None,
    limits: Limits = DEFAULT,
) -> HotReport:
    """Return the report on valid records of one workload of an image, its bottom layer first.

    Raises:
        UsageError: no records, or records of different images or workloads.
        CorruptError: they name more layers than any image has had.
    """
    detail = detail or Detail()
    runs = tuple(records)
    merged = merge(runs, limits)
    if len(merged.layers) > limits.hot_layers:
        raise CorruptError(
            f"hot records of {merged.manifest_digest}: they name {len(merged.layers)} layers,"
            f" the limit is {limits.hot_layers}",
            hint="some of them are damaged or hostile: look at single ones with --record",
        )
    position = {one.digest: number for number, one in reversed(list(enumerate(image)))}
    order = _order(merged.layers, position)
    layers = [merged.layers[row] for row in order]
    indexes = _indexes(layers, image)
    touches = _touches(merged, order, indexes)
    files, row_of = _files(touches, indexes, detail.files, limits)
    cell_blocks = _cell_blocks([layer.blocks for layer in layers], detail.cells)
    heats = []
    for row, layer in enumerate(layers):
        here = np.flatnonzero(touches.layer == row)
        owned = np.unique(touches.inode[here])
        heats.append(
            LayerHeat(
                layer=layer,
                position=position.get(layer.layer_digest),
                runs=merged.layer_runs[order[row]],
                named=row in indexes,
                hot_blocks=len(here),
                hot_files=int(np.count_nonzero(owned != NOBODY)),
                cells=_cells(touches, here, cell_blocks, row_of),
            )
        )
    return HotReport(
        manifest_digest=merged.manifest_digest,
        workload=merged.workload,
        runs=tuple(_run(run) for run in sorted(runs, key=lambda run: run.created)),
        layers=tuple(heats),
        files=files,
        timeline=_timeline(touches, len(layers), detail.buckets),
        last_ms=int(touches.time_ms.max(initial=0)),
        cell_blocks=cell_blocks,
    )


def _run(record: Record) -> Run:
    return Run(
        created=record.created,
        length_ms=record.length_ms,
        ended=record.ended,
        kernel=record.kernel,
        architecture=record.architecture,
        hot_blocks=record.ranges.blocks,
    )


def _order(layers: Sequence[HotLayer], position: Mapping[str, int]) -> list[int]:
    """Return the rows of a merged record as they lie in the image."""
    last = len(position)
    return sorted(
        range(len(layers)), key=lambda row: (position.get(layers[row].layer_digest, last), row)
    )


def _indexes(layers: Sequence[HotLayer], image: Sequence[ImageLayer]) -> dict[int, LayerIndex]:
    """Return the index of each row whose blocks it numbers."""
    known = {
        HotLayer(one.digest, one.index_digest, one.index.data_size): one.index
        for one in image
        if one.index is not None and one.index_digest is not None
    }
    return {row: known[layer] for row, layer in enumerate(layers) if layer in known}


def _touches(
    merged: MergedRecord, order: Sequence[int], indexes: Mapping[int, LayerIndex]
) -> _Touches:
    new_row = np.argsort(np.array(order, dtype=np.int64))
    blocks = expand(merged.ranges)
    layer = new_row[blocks.layer]
    inode = np.full(len(layer), NOBODY, dtype=np.int64)
    for row, index in indexes.items():
        here = np.flatnonzero(layer == row)
        inode[here] = owners(file_map(index.tree.inodes), blocks.block[here])
    time_ms = np.repeat(merged.time_ms, merged.ranges.count)
    return _Touches(layer, blocks.block, time_ms, inode)


def _files(
    touches: _Touches, indexes: Mapping[int, LayerIndex], most: int, limits: Limits
) -> tuple[tuple[HotFile, ...], I64]:
    """Return the files with the most hot blocks, and for each touch its file's row or `UNKNOWN`."""
    row_of = np.full(len(touches.inode), UNKNOWN, dtype=np.int64)
    owned = np.flatnonzero(touches.inode != NOBODY)
    key = touches.layer[owned] << 32 | touches.inode[owned]
    keys, which, count = np.unique(key, return_inverse=True, return_counts=True)
    first_ms = np.full(len(keys), np.iinfo(np.int64).max)
    np.minimum.at(first_ms, which, touches.time_ms[owned])
    top = np.lexsort((keys, first_ms, -count))[:most]
    rank = np.full(len(keys), UNKNOWN, dtype=np.int64)
    rank[top] = np.arange(len(top))
    row_of[owned] = rank[which]
    paths = {row: Paths(index.tree, limits) for row, index in indexes.items()}
    files = []
    for number in top.tolist():
        row, inode = int(keys[number]) >> 32, int(keys[number]) & 0xFFFF_FFFF
        inodes = indexes[row].tree.inodes
        files.append(
            HotFile(
                layer=row,
                start=int(inodes.data[inode]) // BLOCK,
                path=paths[row].of(inode),
                other_names=int(inodes.nlink[inode]) - 1,
                size=int(inodes.size[inode]),
                hot_blocks=int(count[number]),
                first_ms=int(first_ms[number]),
            )
        )
    return tuple(files), row_of


def _cell_blocks(layer_blocks: Sequence[int], most: int) -> int:
    """Return the smallest power of two that makes at most `most` cells of all layers, if any does.

    A layer with data has at least one cell.
    """
    size = 1
    while sum(-(-blocks // size) for blocks in layer_blocks) > most and size < max(layer_blocks):
        size *= 2
    return size


def _cells(touches: _Touches, here: I64, cell_blocks: int, row_of: I64) -> HeatCells:
    """Return the hot cells of one layer, whose touches are the rows `here`."""
    cell = touches.block[here] // cell_blocks
    order = np.lexsort((here, touches.time_ms[here], cell))
    cells, start, hot = np.unique(cell[order], return_index=True, return_counts=True)
    first = here[order[start]]
    return HeatCells(
        cell=cells,
        hot=hot.astype(np.int64),
        first_ms=touches.time_ms[first],
        file=row_of[first],
        block=touches.block[first],
    )


def _timeline(touches: _Touches, layers: int, most: int) -> Timeline:
    last = int(touches.time_ms.max(initial=0))
    bucket_ms = _round_step(last, most)
    buckets = last // bucket_ms + 1
    place = touches.layer * buckets + touches.time_ms // bucket_ms
    new = np.bincount(place, minlength=layers * buckets).reshape(layers, buckets)
    return Timeline(bucket_ms, np.cumsum(new, axis=1, dtype=np.int64))


def _round_step(last: int, most: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, ... that cuts 0 to `last` into at most `most`."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if last // (step * factor) < most:
                return step * factor
        step *= 10
