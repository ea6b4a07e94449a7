"""What is ready is put into place by renames: all of it or nothing, whenever somebody is killed."""

import errno
import os
import signal
from pathlib import Path

import pytest
from swap_world import base, in_child, kill, picture, prepared, swap_until

from bootseer.errors import CorruptError, HostError
from depsnap.swap.lock import locked
from depsnap.swap.steps import Act, plan
from depsnap.swap.swap import LiveLook, recover, swap
from depsnap.swap.workplace import HIDDEN


def wanted(root: Path) -> dict[str, tuple[str, object]]:
    work, entries = prepared(root)
    swap(work, entries)
    return picture(root)


def test_everything_is_in_place_afterwards(tmp_path: Path) -> None:
    root = tmp_path / "root"
    found = wanted(root)
    assert found == {
        "directory-becomes-file": ("file", b"new directory-becomes-file"),
        "file-becomes-directory": ("directory", 0o750),
        "file-becomes-directory/y": ("file", b"new y"),
        "info-2.0": ("directory", 0o750),
        "info-2.0/RECORD": ("file", b"new RECORD"),
        "kept": ("directory", 0o750),
        "kept/a.py": ("file", b"new a.py"),
        "kept/sub": ("directory", 0o755),
        "kept/sub/deep.py": ("file", b"deep"),
        "kept/sub/new.py": ("file", b"new new.py"),
        "link": ("file", b"new link"),
        "upgraded": ("directory", 0o750),
        "upgraded/same.py": ("file", b"new same.py"),
        "upgraded/v2.py": ("file", b"new v2.py"),
    }
    assert not list((root / HIDDEN / "work").iterdir())


def test_killed_at_any_system_call_it_is_finished_or_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "root"
    base(root)
    before, after = picture(root), wanted(root)
    outcomes = []
    for calls in range(1000):
        work, entries = prepared(root)
        status = in_child(lambda work=work, e=entries, n=calls: swap_until(work, e, n, kill))
        if not os.WIFSIGNALED(status):
            assert status == 0
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        recover([root])
        found = picture(root)
        assert found in (before, after), calls
        outcomes.append(found == after)
        assert not list((root / HIDDEN / "work").iterdir())
    assert outcomes == sorted(outcomes), "first undone, from some point on finished"
    assert {True, False} == set(outcomes)
    assert picture(root) == after


def test_killed_while_recovering_the_next_one_finishes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    after = wanted(root)
    work, entries = prepared(root)
    in_child(lambda: swap_until(work, entries, 6, kill))
    for calls in range(1, 60, 3):

        def die(calls: int = calls) -> None:
            count = 0
            real = os.rename

            def rename(*args: object, **kwargs: object) -> None:
                nonlocal count
                count += 1
                if count > calls:
                    kill()
                real(*args, **kwargs)  # type: ignore[arg-type]

            os.rename = rename  # type: ignore[assignment]
            recover([root])

        in_child(die)
    recover([root])
    assert picture(root) == after


def test_a_call_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "root"
    base(root)
    before = picture(root)
    failed = 0
    after = wanted(root)
    for calls in range(80):
        work, entries = prepared(root)

        def fail(calls: int = calls) -> None:
            del calls
            if not getattr(fail, "done", False):
                fail.done = True  # type: ignore[attr-defined]
                raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

        def attempt(work=work, entries=entries, calls=calls, fail=fail) -> None:
            try:
                swap_until(work, entries, calls, fail)
            except HostError:
                os._exit(3)

        status = os.waitstatus_to_exitcode(in_child(attempt))
        assert picture(root) == {0: after, 3: before}[status], calls
        failed += status == 3
    assert failed > 10


def test_a_running_program_keeps_its_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    work, entries = prepared(root)
    with (root / "kept/a.py").open("rb") as file:
        swap(work, entries)
        assert file.read() == b"a"


def test_a_name_that_is_replaced_is_never_missing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    work, entries = prepared(root)
    missing = []
    real = os.rename

    def rename(source: object, target: object) -> None:
        missing.append(not (root / "kept/a.py").exists())
        real(source, target)  # type: ignore[arg-type]

    os.rename = rename  # type: ignore[assignment]
    try:
        swap(work, entries)
    finally:
        os.rename = real
    assert len(missing) > 5
    assert not any(missing)


def test_removals_are_last(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _, entries = prepared(root)
    acts = [step.act for step in plan(entries, LiveLook())]
    first = acts.index(Act.REMOVE)
    assert set(acts[first:]) == {Act.REMOVE}
    assert Act.REMOVE not in acts[:first]


def test_a_link_where_a_directory_has_to_be_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    work, entries = prepared(root)
    (root / "kept").rename(tmp_path / "elsewhere")
    (root / "kept").symlink_to(tmp_path / "elsewhere")
    before = picture(tmp_path)
    with pytest.raises(HostError, match="no directory"):
        swap(work, entries)
    assert picture(tmp_path) == before


def test_a_journal_that_makes_no_sense_is_corrupt(tmp_path: Path) -> None:
    root = tmp_path / "root"
    work, _ = prepared(root)
    for text in ("", "{}x", "[1]", '[["jump", "a", null, null]]'):
        work.journal.write_text(text)
        with pytest.raises(CorruptError, match="journal"):
            recover([root])


def test_who_waits_for_a_lock_gives_up(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        locked(tmp_path, 1, said.append),
        pytest.raises(HostError, match="another process"),
        locked(tmp_path, 0.1, said.append),
    ):
        pass
    assert len(said) == 1
    with locked(tmp_path, 0, said.append):
        pass
