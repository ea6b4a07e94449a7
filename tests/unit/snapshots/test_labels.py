"""Labels of snapshots and what containerd says in them about layers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.snapshots.labels import PARENT_CHAIN, TARGET, checked, layer_request, updated
from snapshotter.snapshots.records import Info, Kind

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CRI = "containerd.io/snapshot/cri."

LABELS = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5)


def parent(**labels: str) -> Info:
    return Info("p", "", Kind.COMMITTED, 1, 1, labels)


def test_a_label_may_have_4096_bytes_with_its_key() -> None:
    assert checked({"k": "v" * 4095}) == {"k": "v" * 4095}
    for key, value in (("k", "v" * 4096), ("é" * 2048, "v")):
        with pytest.raises(UsageError, match="4096"):
            checked({key: value})


@given(LABELS)
def test_an_empty_label_is_none(labels: dict[str, str]) -> None:
    assert checked(labels) == {key: value for key, value in labels.items() if value != ""}


@given(LABELS, LABELS)
def test_an_update_of_all_labels_replaces_them(old: dict[str, str], new: dict[str, str]) -> None:
    assert updated(old, new, []) == checked(new)
    assert updated(old, new, ["labels"]) == checked(new)


@given(LABELS, LABELS, st.text(min_size=1, max_size=5))
def test_an_update_of_one_label_leaves_the_others(
    old: dict[str, str], new: dict[str, str], key: str
) -> None:
    result = updated(old, new, [f"labels.{key}"])
    assert result.get(key, "") == new.get(key, "")
    expected = checked({name: value for name, value in old.items() if name != key})
    assert {name: value for name, value in result.items() if name != key} == expected


@pytest.mark.parametrize("field", ["parent", "name", "kind", "created_at", "labels.", "label", ""])
def test_other_fields_cannot_be_updated(field: str) -> None:
    with pytest.raises(UsageError, match="cannot be updated"):
        updated({}, {}, [field])


def test_a_prepare_without_target_asks_for_no_layer() -> None:
    assert layer_request({}, None) is None
    assert layer_request({f"{CRI}layer-digest": A}, None) is None


@pytest.mark.parametrize("target", ["", "abc", "sha256:../../etc", A.upper(), A + "\n", A[:-1]])
def test_a_target_that_is_no_digest_asks_for_no_layer(target: str) -> None:
    assert layer_request({TARGET: target}, None) is None


def test_everything_containerd_says_is_passed_on() -> None:
    labels = {
        TARGET: A,
        f"{CRI}image-ref": "r/i:t",
        f"{CRI}manifest-digest": B,
        f"{CRI}layer-digest": A,
        f"{CRI}image-layers": "x",
    }
    request = layer_request(labels, None)
    assert request is not None
    assert (request.image_ref, request.manifest_digest) == ("r/i:t", B)
    assert (request.layer_digest, request.chain_id) == (A, A)
    assert (request.parent_chain, request.bottom) == ("", True)
    assert request.labels == labels


def test_digests_that_are_none_are_left_out() -> None:
    labels = {TARGET: A, f"{CRI}manifest-digest": "../x", f"{CRI}layer-digest": "md5:1"}
    request = layer_request(labels, None)
    assert request is not None
    assert (request.manifest_digest, request.layer_digest) == ("", "")


def test_the_parents_chain_is_named_by_label_or_known_from_the_parent() -> None:
    known = layer_request({TARGET: A}, parent(**{TARGET: B}))
    named = layer_request({TARGET: A, PARENT_CHAIN: B}, parent())
    neither = layer_request({TARGET: A}, parent(**{TARGET: "x"}))
    assert known is not None
    assert named is not None
    assert neither is not None
    assert (known.parent_chain, named.parent_chain, neither.parent_chain) == (B, B, "")
    assert (known.bottom, named.bottom, neither.bottom) == (False, False, False)


def test_parallel_unpacking_is_served_only_by_staging() -> None:
    labels = {TARGET: A, PARENT_CHAIN: B}
    assert layer_request(labels, None) is None
    staged = layer_request(labels, None, staged=True)
    assert staged is not None
    assert (staged.parent_chain, staged.bottom) == (B, False)
