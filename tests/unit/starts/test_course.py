"""How a container starts: every combination of what is wanted and what is known."""

import datetime as dt
import itertools

import pytest
from hot_world import hot_record

from snapshotter.ports import PublishedPack
from snapshotter.starts.course import Course, Known, StartPolicy, choose

PACK = PublishedPack("sha256:" + "c" * 64, 1000, 1, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), ())
RECORDS = (hot_record([1], 4),)
KNOWN = {
    "not in time": None,
    "nothing": Known(),
    "records": Known(None, RECORDS),
    "a pack": Known(PACK),
    "both": Known(PACK, RECORDS),
    "areas here": Known(at_hand=True),
    "areas here and a pack": Known(PACK, at_hand=True),
}
PREFETCHED = {
    "records": Course.RECORDS,
    "a pack": Course.PACK,
    "both": Course.PACK,
    "areas here": Course.READY,
    "areas here and a pack": Course.READY,
}


def expected(record: str, prefetch: bool, known: str, recording: bool) -> Course:
    """Say it in another way than the code does."""
    if not recording and (record == "always" or (record == "auto" and known == "nothing")):
        return Course.RECORD
    return PREFETCHED.get(known, Course.NATURAL) if prefetch else Course.NATURAL


@pytest.mark.parametrize(
    ("record", "prefetch", "known", "recording"),
    list(itertools.product(("auto", "always", "never"), (True, False), KNOWN, (True, False))),
)
def test_the_course_follows_from_policy_knowledge_and_recordings(
    record: str, prefetch: bool, known: str, recording: bool
) -> None:
    policy = StartPolicy(record, prefetch)  # type: ignore[arg-type]
    found = choose(policy, KNOWN[known], recording=recording)
    assert found is expected(record, prefetch, known, recording)
