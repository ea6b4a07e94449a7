"""Whose a process is, by its cgroups, and what annotations grant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.dependencies.containers import ContainerId, container_of
from snapshotter.dependencies.grants import NODE, granted
from snapshotter.dependencies.peers import RefusedError
from snapshotter.dependencies.requests import MountRequest

ONE, OTHER = "a" * 64, "b" * 64
ASKED = MountRequest("job", "0" * 64, ("/opt",))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ONE}.scope", ("k8s.io", ONE)),
        (f"/kubepods/burstable/pod12/{ONE}", ("k8s.io", ONE)),
        (
            f"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ONE}",
            ("k8s.io", ONE),
        ),
        ("/default/web", ("default", "web")),
        ("/", None),
        ("/init.scope", None),
        ("/../../default/web", None),
    ],
)
def test_a_cgroup_says_whose_a_process_is(path: str, expected: tuple[str, str] | None) -> None:
    assert container_of(f"0::{path}\n") == (ContainerId(*expected) if expected else None)


def test_what_a_container_makes_below_its_own_cgroup_says_nothing() -> None:
    evil = f"0::/kubepods/pod1/{ONE}/kubepods/pod2/{OTHER}\n"
    assert container_of(evil) == ContainerId("k8s.io", ONE)


def test_hierarchies_that_disagree_say_nothing() -> None:
    assert container_of(f"5:memory:/pods/{ONE}\n4:pids:/pods/{OTHER}\n0::/\n") is None
    assert container_of(f"5:memory:/pods/{ONE}\n4:pids:/pods/{ONE}\n0::/\n") is not None


@given(st.text(max_size=300))
def test_any_text_is_a_container_or_none(text: str) -> None:
    found = container_of(text)
    assert found is None or found.name


def test_annotations_name_what_may_be_mounted() -> None:
    granted("k8s.io/x", {"bootseer.deps": "train, jo*"}).check(ASKED)
    NODE.check(ASKED)
    for value in ("", "jobs", "JOB", "job-*"):
        with pytest.raises(RefusedError, match="may not mount"):
            granted("k8s.io/x", {"bootseer.deps": value}).check(ASKED)
    with pytest.raises(RefusedError):
        granted("k8s.io/x", {}).check(ASKED)
