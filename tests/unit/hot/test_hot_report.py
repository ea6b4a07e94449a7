"""The report on hot blocks: laws of its arithmetic, and one small image by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hot_strategies import MANIFEST, WINDOW_MS, digest, record, rows
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError, UsageError
from snapshotter.hot.merge import merge
from snapshotter.hot.ranges import expand
from snapshotter.hot.record import Ended, HotLayer
from snapshotter.hot.report import UNKNOWN, Detail, ImageLayer, make_report
from snapshotter.layers.records import BLOCK
from snapshotter.limits import Limits
from tests.layer_strategies import (
    directory,
    make_index,
    make_tree,
    regular,
    symlink,
    whiteout,
)


def small_indexes():
    """Draw the index of a layer with a few files, some of them empty."""
    sizes = st.lists(st.integers(0, 4 * BLOCK), max_size=8)
    return sizes.map(
        lambda sizes: make_index(
            make_tree(directory({b"%03d" % n: regular(size) for n, size in enumerate(sizes)}))
        )
    )


@st.composite
def worlds(draw):
    """Draw an image of some layers, with or without indexes, and records of its starts."""
    image, layers = [], []
    for number, index in enumerate(draw(st.lists(small_indexes(), min_size=1, max_size=4))):
        layers.append(HotLayer(digest(number), digest(100 + number), index.data_size))
        known = draw(st.sampled_from(["known", "unknown", "other"]))
        if known == "known":
            image.append(ImageLayer(digest(number), digest(100 + number), index))
        elif known == "other":
            image.append(ImageLayer(digest(number), digest(200 + number), index))
        else:
            image.append(ImageLayer(digest(number)))
    watched = tuple(draw(st.permutations(layers)))
    records = []
    for number in range(draw(st.integers(1, 4))):
        drawn = draw(rows(watched))
        times = draw(st.lists(st.integers(0, WINDOW_MS), min_size=len(drawn), max_size=len(drawn)))
        made = record(drawn, watched, created=number)
        records.append(replace(made, time_ms=np.sort(np.array(times, dtype=np.int64))))
    return records, image[: draw(st.integers(0, len(image)))]


details = st.builds(
    Detail, cells=st.integers(1, 40), buckets=st.integers(1, 30), files=st.integers(0, 5)
)


@given(worlds(), details)
def test_layers_add_up_to_what_the_merged_record_has(world, detail):
    records, image = world
    report = make_report(records, image, detail)
    merged = merge(records)
    assert report.hot_blocks == merged.ranges.blocks
    assert {heat.layer for heat in report.layers} == set(merged.layers)
    assert report.data_size == sum(layer.data_size for layer in merged.layers)
    assert [run.hot_blocks for run in report.runs] == [run.ranges.blocks for run in records]


@given(worlds(), details)
def test_cells_hold_exactly_the_hot_blocks_and_their_first_touch(world, detail):
    records, image = world
    report = make_report(records, image, detail)
    merged = merge(records)
    blocks = expand(merged.ranges)
    times = np.repeat(merged.time_ms, merged.ranges.count)
    for heat in report.layers:
        here = blocks.layer == merged.layers.index(heat.layer)
        touched = {}
        for block, ms in zip(blocks.block[here].tolist(), times[here].tolist(), strict=True):
            touched.setdefault(block // report.cell_blocks, []).append((ms, block))
        cells = heat.cells
        assert cells.cell.tolist() == sorted(touched)
        assert cells.hot.tolist() == [len(touched[cell]) for cell in sorted(touched)]
        assert cells.first_ms.tolist() == [min(touched[cell])[0] for cell in sorted(touched)]
        for cell, ms, block in zip(
            cells.cell.tolist(), cells.first_ms.tolist(), cells.block.tolist(), strict=True
        ):
            assert (ms, block) in touched[cell]


@given(worlds(), details)
def test_there_are_no_more_cells_than_asked_for(world, detail):
    report = make_report(*world, detail)
    size = report.cell_blocks
    cells = [-(-heat.layer.blocks // size) for heat in report.layers]
    assert sum(cells) <= detail.cells or max(cells) == 1
    assert size & (size - 1) == 0


@given(worlds(), details)
def test_the_timeline_never_falls_and_ends_with_all_hot_blocks(world, detail):
    report = make_report(*world, detail)
    blocks = report.timeline.blocks
    assert blocks.shape[0] == len(report.layers)
    assert blocks.shape[1] <= detail.buckets
    assert (np.diff(blocks, axis=1) >= 0).all()
    assert blocks[:, -1].tolist() == [heat.hot_blocks for heat in report.layers]
    assert report.last_ms < blocks.shape[1] * report.timeline.bucket_ms


@given(worlds(), details)
def test_files_hold_no_more_than_their_layers_and_the_hottest_come_first(world, detail):
    report = make_report(*world, detail)
    hot = [one.hot_blocks for one in report.files]
    assert hot == sorted(hot, reverse=True)
    assert len(hot) == min(report.hot_files, detail.files)
    for row, heat in enumerate(report.layers):
        mine = [one for one in report.files if one.layer == row]
        assert sum(one.hot_blocks for one in mine) <= heat.hot_blocks
        assert heat.named or not mine
    assert all(1 <= one.hot_blocks <= one.blocks for one in report.files)


@given(worlds(), details)
def test_a_cell_names_the_file_that_its_first_block_is_in(world, detail):
    report = make_report(*world, detail)
    for row, heat in enumerate(report.layers):
        for file, block in zip(heat.cells.file.tolist(), heat.cells.block.tolist(), strict=True):
            if file != UNKNOWN:
                one = report.files[file]
                assert one.layer == row
                assert one.start <= block < one.start + one.blocks


@given(worlds(), st.randoms())
def test_the_order_of_the_records_does_not_matter(world, random):
    records, image = world
    shuffled = random.sample(records, len(records))
    one, other = make_report(records, image), make_report(shuffled, image)
    assert (one.runs, one.files) == (other.runs, other.files)
    assert one.timeline.blocks.tolist() == other.timeline.blocks.tolist()


SHARED = regular(2 * BLOCK + 1)
BASE = make_index(
    make_tree(
        directory(
            {
                b"bin": directory({b"tool": SHARED, b"\xff\n<b>": regular(BLOCK)}),
                b"tool-2": SHARED,
                b"lib": regular(10 * BLOCK),
                b"link": symlink(b"bin/tool"),
            }
        )
    )
)
TOP = make_index(make_tree(directory({b"app": regular(100), b"gone": whiteout()})))
IMAGE = (ImageLayer(digest(1), digest(11), BASE), ImageLayer(digest(2), digest(12), TOP))
LAYERS = (
    HotLayer(digest(2), digest(12), TOP.data_size),
    HotLayer(digest(1), digest(11), BASE.data_size),
)


def test_a_small_image_by_hand():
    """`lib` is blocks 0 to 9 (breadth first it comes before `bin`'s), `tool` 10 to 12."""
    touched = [(1, 10, 2), (0, 0, 1), (1, 0, 1), (1, 5, 3), (1, 13, 1)]
    start = record(touched, LAYERS, time_ms=np.array([5, 40, 41, 999, 1000], dtype=np.int64))
    report = make_report([start], IMAGE, Detail(cells=5, buckets=101, files=3))
    base, top = report.layers
    assert (base.position, base.hot_blocks, base.hot_files) == (0, 7, 3)
    assert (top.position, top.hot_blocks, top.hot_files) == (1, 1, 1)
    assert (report.hot_blocks, report.hot_files, report.last_ms) == (8, 4, 1000)
    assert report.manifest_digest == MANIFEST
    assert [(one.path, one.hot_blocks, one.other_names) for one in report.files] == [
        (b"lib", 4, 0),
        (b"tool-2", 2, 1),
        (b"app", 1, 0),
    ]
    assert report.files[1].first_ms == 5
    assert report.cell_blocks == 4
    assert base.cells.cell.tolist() == [0, 1, 2, 3]
    assert base.cells.hot.tolist() == [1, 3, 2, 1]
    assert base.cells.first_ms.tolist() == [41, 999, 5, 1000]
    # The fourth file is not listed, so nobody can say what the last cell holds.
    assert base.cells.file.tolist() == [0, 0, 1, UNKNOWN]
    assert base.cells.block.tolist() == [0, 5, 10, 13]
    assert report.timeline.bucket_ms == 10
    assert report.timeline.blocks[0, [0, 3, 4, 99, 100]].tolist() == [2, 2, 3, 6, 7]
    assert report.timeline.blocks[1, [3, 4]].tolist() == [0, 1]


def test_an_index_of_another_size_names_nothing():
    wrong = replace(LAYERS[1], data_size=LAYERS[1].data_size + BLOCK)
    report = make_report([record([(0, 0, 1)], (wrong,))], IMAGE)
    assert not report.layers[0].named
    assert report.files == ()


def test_a_start_that_touched_nothing_has_a_report():
    report = make_report([record([], ()), record([], LAYERS, ended=Ended.INTERRUPTED)], IMAGE)
    assert (report.hot_blocks, report.last_ms, len(report.runs)) == (0, 0, 2)
    assert report.timeline.blocks.tolist() == [[0], [0]]
    assert make_report([record([], ())], ()).data_size == 0


def test_records_that_name_too_many_layers_are_refused():
    runs = [record([], (HotLayer(digest(1), digest(number), BLOCK),)) for number in range(4)]
    with pytest.raises(CorruptError, match="4 layers"):
        make_report(runs, IMAGE, limits=Limits(hot_layers=3))


def test_no_record_is_no_report():
    with pytest.raises(UsageError):
        make_report([], IMAGE)
