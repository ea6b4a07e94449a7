"""From a chain of trees to mounts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import HostError
from snapshotter.snapshots.mounts import distinct, plain, readonly, readonly_bind, writable
from snapshotter.snapshots.overlayfs import mount_options
from snapshotter.snapshots.records import Mount

A, B, C = Path("/r/1/fs"), Path("/r/2/fs"), Path("/r/3/fs")
UPPER, WORK = Path("/r/9/fs"), Path("/r/9/work")


def test_a_writable_snapshot_of_nothing_is_a_bind_mount() -> None:
    assert writable(UPPER, WORK, [], ["index=off"]) == [
        Mount("bind", "/r/9/fs", ("rw", "rbind")),
    ]


def test_a_writable_snapshot_of_others_is_an_overlay_from_the_top_down() -> None:
    assert writable(UPPER, WORK, [B, A], ["index=off"]) == [
        Mount(
            "overlay",
            "overlay",
            ("workdir=/r/9/work", "upperdir=/r/9/fs", "lowerdir=/r/2/fs:/r/1/fs", "index=off"),
        ),
    ]


def test_a_view_of_nothing_is_its_own_empty_directory() -> None:
    assert readonly(UPPER, [], []) == [Mount("bind", "/r/9/fs", ("ro", "rbind"))]


def test_a_view_of_one_is_that_one_read_only() -> None:
    assert readonly(UPPER, [A], ["index=off"]) == [readonly_bind(A)]
    assert readonly(UPPER, [A, A], ["index=off"]) == [readonly_bind(A)]
    assert readonly_bind(A) == Mount("bind", "/r/1/fs", ("ro", "rbind"))


def test_a_view_of_more_is_an_overlay_without_upper_directory() -> None:
    (mount,) = readonly(UPPER, [C, B, A], ["index=off"])
    assert mount.options == ("lowerdir=/r/3/fs:/r/2/fs:/r/1/fs", "index=off")


@given(st.lists(st.sampled_from([A, B, C])))
def test_each_tree_is_mounted_once_where_it_is_uppermost(lowers: list[Path]) -> None:
    result = distinct(lowers)
    assert sorted(result) == sorted(set(lowers))
    assert [lowers.index(path) for path in result] == sorted(map(lowers.index, set(lowers)))


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a\nb"])
def test_a_directory_that_options_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(HostError, match="character"):
        plain(Path("/r") / name)


def machine(root: Path, *, index: bool, uid_map: str) -> Path:
    if index:
        (root / "sys/module/overlay/parameters").mkdir(parents=True)
        (root / "sys/module/overlay/parameters/index").touch()
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/uid_map").write_text(uid_map)
    return root


def test_options_follow_the_kernel_and_the_user_namespace(tmp_path: Path) -> None:
    whole, mapped = "         0          0 4294967295\n", "         0       1000          1\n"
    assert mount_options(machine(tmp_path / "a", index=True, uid_map=whole)) == ("index=off",)
    assert mount_options(machine(tmp_path / "b", index=False, uid_map=whole)) == ()
    assert mount_options(machine(tmp_path / "c", index=True, uid_map=mapped)) == (
        "index=off",
        "userxattr",
    )
