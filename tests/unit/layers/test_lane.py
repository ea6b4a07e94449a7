"""Lanes: order, back pressure, errors, threads."""

import threading

import pytest

from snapshotter.layers.lane import Lane


def fail():
    raise ValueError("no")


def test_jobs_run_in_order_and_give_their_results():
    lane, seen = Lane("lane", 3), []
    futures = [lane.submit(lambda i=i: seen.append(i) or i) for i in range(20)]
    lane.drain()
    lane.close()
    assert seen == list(range(20))
    assert [future.result() for future in futures] == seen


def test_a_full_backlog_makes_the_submitter_wait():
    lane, gate, done = Lane("lane", 2), threading.Event(), threading.Event()
    lane.submit(gate.wait)
    lane.submit(gate.wait)

    def third():
        lane.submit(lambda: None)
        done.set()

    submitter = threading.Thread(target=third)
    submitter.start()
    assert not done.wait(0.05)
    gate.set()
    submitter.join()
    lane.close()
    assert done.is_set()


@pytest.mark.parametrize("late", [Lane.drain, lambda lane: lane.submit(print)])
def test_an_error_reaches_the_submitter_and_nothing_runs_after_it(late):
    lane, ran = Lane("lane", 1), []
    lane.submit(fail)
    with pytest.raises(ValueError, match="no"):
        late(lane)
    with pytest.raises(RuntimeError):
        lane.submit(lambda: ran.append(1))
    assert not ran


def test_jobs_already_queued_do_not_run_after_an_error():
    lane, gate, ran = Lane("lane", 5), threading.Event(), []
    lane.submit(gate.wait)
    lane.submit(fail)
    last = lane.submit(lambda: ran.append(1))
    gate.set()
    assert last.exception() is not None
    with pytest.raises(ValueError, match="no"):
        lane.drain()
    assert not ran


def test_a_closed_lane_has_no_thread():
    lane = Lane("closing-lane", 5)
    lane.submit(lambda: None)
    lane.close()
    lane.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("closing-lane")]
