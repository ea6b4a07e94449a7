"""Provisioning: what is missing is found, what is locked is complete, versions are read."""

import re
import subprocess
from pathlib import Path

import pytest

from tooling import containerd, debian, hadoop, lock, setup, virtualenv
from tooling.locking import only_one
from tooling.places import REPOSITORY, cache_dir
from tooling.running import SetupError, run_logged
from tooling.versions import parse_version

LOCKS = sorted((REPOSITORY / "requirements").glob("*.lock"))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("containerd github.com/containerd/containerd/v2 v2.4.2 abcdef", (2, 4)),
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1", (1, 6)),
        ("go version go1.26.1 linux/amd64", (1, 26)),
        ("no number here", None),
        ("", None),
    ],
)
def test_version_is_read_from_a_programs_own_words(
    text: str, version: tuple[int, int] | None
) -> None:
    assert parse_version(text) == version


def test_directory_named_for_containerd_must_hold_every_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOTSEER_CONTAINERD_DIR", str(tmp_path))
    with pytest.raises(SetupError, match="lacks one of"):
        containerd.find()
    for program in containerd.PROGRAMS:
        (tmp_path / program).touch(mode=0o755)
    assert containerd.find() == tmp_path


def test_cached_containerd_wins_over_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOOTSEER_CONTAINERD_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "bootseer"
    containerd.cached_dir().mkdir(parents=True)
    for program in containerd.PROGRAMS:
        (containerd.cached_dir() / program).touch(mode=0o755)
    assert containerd.find() == containerd.cached_dir()


@pytest.mark.parametrize(("version", "accepted"), [("v2.4.2", True), ("1.7.24", False)])
def test_containerd_on_path_counts_only_in_a_version_we_accept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, accepted: bool
) -> None:
    monkeypatch.delenv("BOOTSEER_CONTAINERD_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for program in containerd.PROGRAMS:
        file = tmp_path / program
        file.write_text(f"#!/bin/sh\necho containerd github.com/containerd/containerd {version}\n")
        file.chmod(0o755)
    assert containerd.find() == (tmp_path if accepted else None)


def test_only_packages_whose_contents_are_absent_are_missing() -> None:
    here = debian.Package("here", lambda: True, frozenset({"venv"}))
    absent = debian.Package("absent", lambda: False, frozenset({"venv"}))
    for_demo = debian.Package("for-demo", lambda: False, frozenset({"demo"}))
    packages = [here, absent, for_demo]
    assert debian.missing("test", packages) == [absent]
    assert debian.missing("demo", packages) == [absent, for_demo]


def test_without_apt_the_message_names_packages_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = debian.Package("absent", lambda: False, frozenset({"venv"}))
    with pytest.raises(SetupError, match=r"apt-get install -y --no-install-recommends absent"):
        debian.install([absent], tmp_path / "log")


def test_failed_program_is_reported_with_the_end_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"(?s)making it failed: sh exited with 3.*last words"):
        run_logged(["sh", "-c", "echo last words; exit 3"], tmp_path / "log", what="making it")
    with pytest.raises(SetupError, match="cannot run /nonexistent/program"):
        run_logged(["/nonexistent/program"], tmp_path / "log", what="making it")


def test_setup_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    path = tmp_path / "below" / "lock"
    command = ["flock", "--nonblock", str(path), "true"]
    with only_one(path):
        assert subprocess.run(command, check=False).returncode == 1
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_is_pinned_and_hashed(path: Path) -> None:
    for requirement in lock.requirements(path.read_text()):
        first, *hashes = requirement.splitlines()
        assert re.match(r"^[a-z0-9.-]+==[\w.]+( ;.*)? \\$", first), first
        assert hashes
        assert all(re.match(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", line) for line in hashes)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_no_lock_names_an_index(path: Path) -> None:
    assert not re.search(r"https?:|--index|--extra-index|--find-links", path.read_text())


def test_purposes_use_locks_that_exist_and_do_not_overlap() -> None:
    names = {path.stem for path in LOCKS}
    for locks in setup.LOCKS.values():
        assert set(locks) <= names
    run, dev = (
        set(lock.requirements((REPOSITORY / "requirements" / f"{name}.lock").read_text()))
        for name in ("run", "dev")
    )
    assert not run & dev


def test_lock_is_split_into_what_has_wheels_and_what_is_built_here() -> None:
    text = "# head\na==1 \\\n    --hash=sha256:1\npyfuse3==3 \\\n    --hash=sha256:2\nz==1 \\\n"
    from_index, built_here = virtualenv.split_lock(text)
    assert built_here == "pyfuse3==3 \\\n    --hash=sha256:2\n"
    assert from_index == "# head\na==1 \\\n    --hash=sha256:1\nz==1 \\\n"


def test_what_another_lock_pins_is_taken_out() -> None:
    assert lock.without("a==1 \\\n    --hash=1\nb==2\n", "a==1 \\\n    --hash=1\n") == "b==2\n"


def test_every_jar_of_hadoop_is_locked_by_its_hash() -> None:
    locked = hadoop.parse_lock(hadoop.LOCK.read_text())
    assert any(name.startswith("hadoop-hdfs-3") for name in locked)
    assert all(name.endswith(".jar") for name in locked)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in locked.values())
