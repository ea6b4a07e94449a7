"""What several runs have in common."""

import statistics
from dataclasses import replace

import numpy as np
import pytest
from hot_strategies import LAYERS, MANIFEST, layer, record, records
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.hot.merge import merge
from snapshotter.hot.ranges import expand
from snapshotter.hot.record import Ended, MergedRecord, Record, blocks_of
from snapshotter.limits import Limits

CUT_OFF = (Ended.FULL, Ended.INTERRUPTED)
runs = st.lists(records(manifest_digest=MANIFEST, workload="w"), min_size=1, max_size=5)


def facts(merged: MergedRecord) -> tuple[object, ...]:
    ranges = merged.ranges
    columns = (ranges.layer, ranges.first, ranges.count, merged.touched, merged.time_ms)
    return (merged.layers, merged.runs, merged.layer_runs, *(column.tolist() for column in columns))


def ranked(run: Record) -> dict[tuple[object, int], int]:
    """Return the rank of first touch of every (layer, block)."""
    blocks = expand(run.ranges)
    pairs = zip(blocks.layer.tolist(), blocks.block.tolist(), strict=True)
    return {(run.layers[row], block): rank for rank, (row, block) in enumerate(pairs)}


@given(runs, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_runs_matters(drawn, chance):
    shuffled = drawn * 2
    chance.shuffle(shuffled)
    assert facts(merge(shuffled)) == facts(merge(drawn))


@given(runs)
def test_blocks_are_those_that_enough_runs_touched_by_their_median_rank(drawn):
    drawn = [replace(run, created=number) for number, run in enumerate(drawn)]
    ranks = [ranked(run) for run in drawn]
    expected = {}
    for key in {key for run in ranks for key in run}:
        found = [run[key] for run in ranks if key in run]
        median = statistics.median(found)
        watched = sum(
            key[0] in run.layers and (run.ended not in CUT_OFF or median < run.ranges.blocks)
            for run in drawn
        )
        if len(found) > 1 or watched < 3:
            expected[key] = (median, len(found))
    merged = merge(drawn)
    blocks = expand(merged.ranges)
    keys = list(
        zip(
            (merged.layers[row] for row in blocks.layer.tolist()),
            blocks.block.tolist(),
            strict=True,
        )
    )
    assert len(keys) == len(set(keys))
    assert set(keys) == set(expected)
    medians = [expected[key][0] for key in keys]
    assert medians == sorted(medians)
    touched = [
        times
        for times, count in zip(merged.touched.tolist(), merged.ranges.count.tolist(), strict=True)
        for _ in range(count)
    ]
    assert touched == [expected[key][1] for key in keys]


@given(records())
def test_one_run_merged_is_that_run(drawn):
    merged = merge([drawn])
    assert merged.runs == 1
    for one in drawn.layers:
        assert blocks_of(merged, one).tolist() == blocks_of(drawn, one).tolist()


def test_blocks_that_follow_each_other_a_while_apart_keep_their_times():
    run = record([(0, 1, 2), (0, 3, 1), (0, 4, 1)], time_ms=np.array([20, 39, 900]))
    merged = merge([run])
    assert merged.ranges.first.tolist() == [1, 4]
    assert merged.time_ms.tolist() == [20, 900]


def test_what_one_of_three_runs_touched_was_chance():
    often, once = (0, 1, 2), (2, 100, 5)
    three = [
        record([often], created=1),
        record([often, once], created=2),
        record([often], created=3),
    ]
    assert merge(three).ranges.blocks == 2
    assert merge(three[:2]).ranges.blocks == 7


def test_runs_that_were_cut_off_say_nothing_of_what_came_later():
    rows = [(0, 1, 2), (2, 100, 5), (0, 20, 3)]
    whole = record(rows, created=1)
    early = [record(rows[:1], created=n, ended=Ended.INTERRUPTED) for n in (2, 3)]
    assert merge([whole, *early]).ranges.blocks == 10
    complete = [record(rows[:1], created=n, ended=Ended.QUIET) for n in (2, 3)]
    assert merge([whole, *complete]).ranges.blocks == 2


def test_a_layer_that_few_runs_watched_keeps_all_of_its_blocks():
    new = layer(9, 10)
    three = [record([(0, 1, 2)], created=n) for n in range(3)]
    merged = merge([*three, record([(0, 3, 4)], (new,))])
    assert blocks_of(merged, new).tolist() == [3, 4, 5, 6]
    assert blocks_of(merged, LAYERS[0]).tolist() == [1, 2]
    assert merged.layer_runs[merged.layers.index(new)] == 1


def test_runs_of_different_images_or_workloads_are_not_merged():
    for other in (record([], workload="b"), record([], manifest_digest="sha256:" + "0" * 64)):
        with pytest.raises(UsageError):
            merge([record([]), other])
    with pytest.raises(UsageError):
        merge([])


def test_of_too_many_runs_the_newest_are_merged():
    many = [record([(0, n, 1)], created=n) for n in range(10)]
    assert merge(many, Limits(hot_runs=2)).layer_runs == (2, 2, 2, 2)
    few = merge(many, Limits(hot_blocks=1))
    assert few.runs == 2
    assert (few.ranges.first.tolist(), few.ranges.count.tolist()) == ([8], [2])
