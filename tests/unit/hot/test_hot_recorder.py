"""A recording from its first touch to its end."""

import pytest
from hot_strategies import LAYERS, MANIFEST, record
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.hot.ranges import expand
from snapshotter.hot.record import Ended, Record
from snapshotter.hot.record_format import decode, encode
from snapshotter.hot.recorder import Recorder, RecordingRules, RecordingSubject
from snapshotter.layers.records import BLOCK

SUBJECT = RecordingSubject(MANIFEST, "train", 1_700_000_000, "6.18.0", "x86_64", LAYERS)
RULES = RecordingRules(window=100.0, quiet=10.0, patience=20.0, most_blocks=50)


def recorder(**rules: float) -> Recorder:
    return Recorder(SUBJECT, 1000.0, RecordingRules(**{**_fields(RULES), **rules}))


def _fields(rules: RecordingRules) -> dict[str, float]:
    return {name: getattr(rules, name) for name in RecordingRules.__dataclass_fields__}


def rows(record: Record) -> list[tuple[int, int, int, int]]:
    ranges = record.ranges
    columns = (ranges.layer, ranges.first, ranges.count, record.time_ms)
    return list(zip(*(column.tolist() for column in columns), strict=True))


_touches = st.lists(
    st.tuples(
        st.floats(0, 2),
        st.sampled_from([0, 2, 3]),
        st.integers(0, 310 * BLOCK),
        st.integers(0, 20 * BLOCK),
    ),
    max_size=60,
)


@given(_touches)
def test_every_block_is_recorded_once_in_first_touch_order(touches):
    subject, now, expected = recorder(window=1e6, quiet=1e6, most_blocks=10_000), 1000.0, []
    for wait, layer, offset, length in touches:
        now += wait
        subject.touch(now, layer, offset, length)
        blocks = range(offset // BLOCK, -(-(offset + length) // BLOCK))
        for block in blocks:
            if block < LAYERS[layer].blocks and (layer, block) not in expected:
                expected.append((layer, block))
    record = subject.record(now)
    blocks = expand(record.ranges)
    assert list(zip(blocks.layer.tolist(), blocks.block.tolist(), strict=True)) == expected
    assert subject.blocks == len(expected)
    assert rows(decode(encode(record))) == rows(record)


@given(_touches)
def test_any_recording_ends_in_a_valid_record_within_its_bounds(touches):
    subject, now = recorder(), 1000.0
    for wait, layer, offset, length in touches:
        now += wait
        subject.touch(now, layer, offset, length)
    subject.stop(now)
    record = decode(encode(subject.record(now)))
    assert record.ranges.blocks <= 50
    assert record.length_ms <= 100_000


def test_neighbours_touched_one_after_the_other_become_one_range():
    subject = recorder()
    subject.touch(1000.001, 0, 0, BLOCK)
    subject.touch(1000.002, 0, BLOCK, 2 * BLOCK)
    subject.touch(1000.003, 2, 3 * BLOCK, BLOCK)
    subject.touch(1000.004, 0, 3 * BLOCK, BLOCK)
    subject.touch(1001.0, 0, 4 * BLOCK, BLOCK)
    assert [row[:3] for row in rows(subject.record(1001.0))] == [
        (0, 0, 3),
        (2, 3, 1),
        (0, 3, 1),
        (0, 4, 1),
    ]


def test_a_touch_of_known_and_new_blocks_records_the_new_ones():
    subject = recorder()
    subject.touch(1000.5, 2, 2 * BLOCK, BLOCK)
    subject.touch(1001.5, 2, 0, 5 * BLOCK)
    assert rows(subject.record(1002)) == [(2, 2, 1, 500), (2, 0, 2, 1500), (2, 3, 2, 1500)]


def test_it_ends_with_its_window():
    subject = recorder(quiet=1000.0)
    assert subject.ended(1099.9) is None
    subject.touch(1100.0, 0, 0, BLOCK)
    assert subject.ended(1100.0) is Ended.WINDOW
    record = subject.record(1200.0)
    assert (record.ended, record.length_ms, rows(record)) == (Ended.WINDOW, 100_000, [])


def test_it_ends_when_nothing_new_was_touched_for_a_while():
    subject = recorder()
    subject.touch(1015.0, 0, 0, BLOCK)
    subject.touch(1024.0, 0, 0, BLOCK)  # not new
    assert subject.ended(1024.9) is None
    assert subject.ended(1025.0) is Ended.QUIET
    subject.touch(1026.0, 0, BLOCK, BLOCK)
    assert subject.blocks == 1


def test_a_quiet_beginning_ends_nothing():
    assert recorder().ended(1019.9) is None
    assert recorder().ended(1020.0) is Ended.QUIET


def test_it_ends_when_it_is_full():
    subject = recorder()
    subject.touch(1000.0, 2, 0, 49 * BLOCK)
    assert subject.ended(1000.0) is None
    subject.touch(1000.0, 2, 100 * BLOCK, 4 * BLOCK)
    assert subject.ended(1000.0) is Ended.FULL
    assert subject.record(1001.0).ranges.blocks == 50


@pytest.mark.parametrize("reason", [Ended.STOPPED, Ended.INTERRUPTED])
def test_it_can_be_stopped_and_keeps_its_first_reason(reason):
    subject = recorder()
    subject.stop(1001.5, reason)
    subject.stop(1050.0, Ended.STOPPED)
    record = subject.record(1060.0)
    assert (record.ended, record.length_ms) == (reason, 1500)


def test_a_record_taken_on_the_way_says_so():
    subject = recorder()
    subject.touch(1000.25, 0, 0, 1)
    record = subject.record(1002.0)
    assert (record.ended, record.length_ms) == (Ended.INTERRUPTED, 2000)
    assert subject.ended(1002.0) is None


def test_a_clock_that_stands_still_or_goes_back_does_not_break_the_record():
    subject = recorder()
    subject.touch(1005.0, 0, 0, 1)
    subject.touch(1004.0, 0, BLOCK * 9, 1)
    subject.stop(1003.0)
    encode(subject.record(1003.0))


def test_a_recording_goes_on_where_its_record_ended():
    first = recorder()
    first.touch(1001.0, 0, 0, 2 * BLOCK)
    first.touch(1002.0, 2, 5 * BLOCK, BLOCK)
    kept = decode(encode(first.record(1004.0)))
    again = Recorder(SUBJECT, 5000.0, RULES, kept)
    again.touch(5001.0, 0, BLOCK, 3 * BLOCK)
    again.stop(5002.0)
    whole = again.record(5002.0)
    assert rows(whole) == [(0, 0, 2, 1000), (2, 5, 1, 2000), (0, 2, 2, 5000)]
    assert (whole.length_ms, whole.ended, again.blocks) == (6000, Ended.STOPPED, 5)


def test_a_record_of_other_layers_is_not_gone_on_with():
    with pytest.raises(UsageError):
        Recorder(SUBJECT, 0.0, RULES, record([(0, 0, 1)], LAYERS[:1]))
