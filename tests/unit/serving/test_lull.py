from snapshotter.serving.lull import AT_LATEST_S, Lull


def test_work_begins_when_nothing_was_read_for_a_while() -> None:
    lull = Lull(quiet_s=5.0, now=0.0)
    lull.note(10, now=1.0)
    assert not lull.allows(now=3.0)
    lull.note(11, now=4.0)
    assert not lull.allows(now=8.0)
    lull.note(11, now=8.0)
    assert lull.allows(now=9.0)


def test_work_is_not_put_off_for_ever() -> None:
    lull = Lull(quiet_s=5.0, now=0.0)
    began = [now for now in range(1000) if not lull.note(now, float(now)) and lull.allows(now)]
    assert began == [AT_LATEST_S, 2 * AT_LATEST_S + 1, 3 * AT_LATEST_S + 2]


def test_a_node_that_starts_counts_as_busy() -> None:
    lull = Lull(quiet_s=5.0, now=100.0)
    assert not lull.allows(now=101.0)
