"""What containerd's clients keep with containers: JSON that may be anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.containers.lookup import chosen
from snapshotter.containers.metadata import Described, described
from snapshotter.limits import Limits


def cri(**metadata: object) -> bytes:
    return json.dumps({"Version": "v1", "Metadata": metadata}).encode()


def test_a_container_names_its_pod_and_its_annotations() -> None:
    text = cri(ID="c", SandboxID="pod", Config={"annotations": {"a": "b"}, "image": {}})
    assert described([b"not json", text]) == Described("pod", {"a": "b"})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"Metadata": []}',
        b'{"Metadata": {"SandboxID": 7, "Config": {"annotations": [1]}}}',
        b'{"Metadata": {"Config": {"annotations": {"a": 1, "b": null}}}}',
        b"\xff",
    ],
)
def test_what_has_another_form_says_nothing(text: bytes) -> None:
    assert described([text]) == Described()


def test_what_is_too_long_is_not_read() -> None:
    text = cri(SandboxID="pod")
    assert described([text], Limits(container_metadata=len(text) - 1)) == Described()


keys = st.sampled_from(["Metadata", "Config", "annotations", "SandboxID", "x"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.binary(max_size=64))
def test_nothing_that_clients_keep_can_do_harm(value: object, raw: bytes) -> None:
    found = described([raw, json.dumps(value).encode()])
    assert isinstance(found.sandbox, str)
    assert all(isinstance(text, str) for pair in found.annotations.items() for text in pair)


def test_the_nearest_name_wins_and_others_are_left_out() -> None:
    pod = {"bootseer.workload": "of-pod", "bootseer.record": "never", "team": "x"}
    container = {"containerd.io/snapshot/bootseer.workload": "mine"}
    assert chosen({}, container, pod) == {
        "containerd.io/snapshot/bootseer.workload": "mine",
        "containerd.io/snapshot/bootseer.record": "never",
    }
    assert chosen({}, {}, {}) == {}
