"""Objects as artifacts: what everybody makes alike, and what is refused."""

import contextlib
import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.digests import digest_of
from bootseer.errors import CorruptError
from depsnap.registry.artifacts import (
    Candidate,
    anchor,
    anchor_descriptor,
    candidate,
    chosen,
    folders_of,
    parse_anchor,
    parse_candidate,
)
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest

WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
CONTENT = Descriptor("application/octet-stream", digest_of(b"x"), 1)


def raw(data: bytes) -> RawManifest:
    return RawManifest(digest_of(data), OCI_MANIFEST, data)


def test_a_folders_digest_never_changes() -> None:
    found = anchor_descriptor("snapshots/job/" + "0" * 64).digest
    assert found == "sha256:131e96d20327c0cff463ef88f8e078d0d588745d8660ada62108a1e43119f6b3"


def test_folders_and_objects_are_read_back() -> None:
    assert folders_of("snapshots/job/key/000001") == [
        *("", "snapshots", "snapshots/job", "snapshots/job/key"),
    ]
    assert parse_anchor(raw(anchor("snapshots/job")), "snapshots") == "snapshots/job"
    assert parse_anchor(raw(anchor("snapshots")), "") == "snapshots"
    data = candidate("snapshots/job/000001", CONTENT, [CONTENT], WHEN)
    found = parse_candidate(raw(data), "snapshots/job")
    assert (found.name, found.created, found.content.digest) == ("000001", WHEN, CONTENT.digest)


@pytest.mark.parametrize("above", ["", "snapshots/job", "snapshot", "other"])
def test_a_folder_from_somewhere_else_is_refused(above: str) -> None:
    with pytest.raises(CorruptError):
        parse_anchor(raw(anchor("snapshots/job")), above)


def test_an_object_of_another_folder_is_refused() -> None:
    data = candidate("snapshots/job/000001", CONTENT, [], WHEN)
    with pytest.raises(CorruptError):
        parse_candidate(raw(data), "snapshots/other")
    with pytest.raises(CorruptError):
        parse_candidate(raw(anchor("snapshots/job")), "snapshots/job")
    with pytest.raises(CorruptError):
        parse_anchor(raw(data), "snapshots/job")


MANIFEST = json.loads(candidate("a/b", CONTENT, [], WHEN))
values = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=4,
)


@given(st.sampled_from(sorted(MANIFEST)), values)
def test_what_makes_no_sense_is_refused_and_nothing_else_happens(name: str, value: object) -> None:
    data = json.dumps(MANIFEST | {name: value}).encode()
    with contextlib.suppress(CorruptError):
        parse_candidate(raw(data), "a")
    with contextlib.suppress(CorruptError):
        parse_anchor(raw(data), "a")


@given(st.permutations(range(6)))
def test_which_one_counts_does_not_depend_on_their_order(order: list[int]) -> None:
    every = [
        Candidate(name, WHEN + dt.timedelta(seconds=late), f"sha256:{late}{number}", CONTENT)
        for name in "ab"
        for late, number in ((0, 2), (0, 1), (1, 0))
    ]
    found = chosen([every[row] for row in order])
    assert [(one.name, one.digest) for one in found] == [("a", "sha256:01"), ("b", "sha256:01")]
