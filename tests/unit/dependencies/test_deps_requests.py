"""What asks for mounts, from strangers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.dependencies.requests import MountRequest, parse_mount, parse_unmount

GOOD = {"name": "job", "key": "0" * 64, "roots": ["/opt/app"], "store": "file:///s", "stale": True}


def test_a_question_is_parsed() -> None:
    parsed = parse_mount(json.dumps(GOOD).encode())
    assert parsed == MountRequest("job", "0" * 64, ("/opt/app",), "file:///s", stale=True)
    assert parse_unmount(b'{"roots": ["/"]}') == ("/",)


@pytest.mark.parametrize(
    "path", ["", "a", "/a/../b", "/a/./b", "//", "/a/", "/a//b", "/\0", "/\ud800"]
)
def test_paths_that_are_not_plain_are_refused(path: str) -> None:
    for parse in (parse_mount, parse_unmount):
        with pytest.raises(UsageError):
            parse(json.dumps(GOOD | {"roots": [path]}).encode())


@given(st.binary(max_size=200))
def test_bytes_are_a_question_or_refused(data: bytes) -> None:
    for parse in (parse_mount, parse_unmount):
        with pytest.raises(UsageError):
            parse(data)


values = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just([["/a"]])


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), values))
def test_other_values_are_a_question_or_refused(values: dict[str, object]) -> None:
    try:
        parsed = parse_mount(json.dumps(GOOD | values).encode())
    except UsageError:
        return
    assert all(root.startswith("/") for root in parsed.roots)
