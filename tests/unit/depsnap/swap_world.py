"""A directory to change, what is ready beside it, and processes that die while they swap."""

import os
import shutil
import signal
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from depsnap.swap.swap import swap
from depsnap.swap.workplace import HIDDEN, Workplace, fresh_workplace
from depsnap.tree.entries import DIRECTORIES, Entry, Kind

Picture = Mapping[str, tuple[str, object]]
"""What is in a directory: kind and content (or mode) by path."""

CALLS = ("rename", "replace", "link", "unlink", "mkdir", "rmdir", "chmod", "chown")
"""System calls that change what is there, as `os` has them."""


def picture(root: Path) -> dict[str, tuple[str, object]]:
    """Return what is in a directory, but for our own."""
    found: dict[str, tuple[str, object]] = {}
    for directory, names, files in os.walk(root):
        if HIDDEN in names:
            names.remove(HIDDEN)
        for name in [*names, *files]:
            path = Path(directory, name)
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                found[str(path.relative_to(root))] = ("link", str(path.readlink()))
            elif stat.S_ISDIR(status.st_mode):
                found[str(path.relative_to(root))] = ("directory", stat.S_IMODE(status.st_mode))
            else:
                found[str(path.relative_to(root))] = ("file", path.read_bytes())
    return found


def base(root: Path) -> None:
    """Make what is there before."""
    shutil.rmtree(root, ignore_errors=True)
    for name, content in {
        "kept/a.py": b"a",
        "kept/old.py": b"old",
        "kept/sub/deep.py": b"deep",
        "upgraded/v1.py": b"1",
        "upgraded/same.py": b"1",
        "upgraded/data/x": b"x",
        "info-1.0/RECORD": b"1",
        "file-becomes-directory": b"f",
        "directory-becomes-file/x": b"x",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "link").symlink_to("kept")


def change(root: Path) -> list[Entry]:
    """Return what is to be changed: some of everything."""
    name = str(root).strip("/")
    kinds = {
        "": Kind.KEPT,
        "kept": Kind.CHANGED,
        "kept/a.py": Kind.FILE,
        "kept/old.py": Kind.DELETED,
        "kept/sub": Kind.KEPT,
        "kept/sub/new.py": Kind.FILE,
        "upgraded": Kind.REPLACED,
        "upgraded/same.py": Kind.FILE,
        "upgraded/v2.py": Kind.FILE,
        "info-1.0": Kind.DELETED,
        "info-2.0": Kind.NEW,
        "info-2.0/RECORD": Kind.FILE,
        "file-becomes-directory": Kind.NEW,
        "file-becomes-directory/y": Kind.FILE,
        "directory-becomes-file": Kind.FILE,
        "link": Kind.FILE,
        "missing": Kind.DELETED,
    }
    uid, gid = os.geteuid(), os.getegid()
    return [
        Entry(f"{name}/{path}".rstrip("/"), kind, 0o750 if kind in DIRECTORIES else 0o644, uid, gid)
        for path, kind in sorted(kinds.items(), key=lambda one: one[0].replace("/", "\0"))
    ]


def ready(work: Workplace, entries: list[Entry]) -> None:
    """Make what is to be put into place."""
    work.make()
    for entry in entries:
        place = work.ready(entry.path)
        if entry.kind in DIRECTORIES:
            place.mkdir(exist_ok=True)
            place.chmod(0o750)
        elif entry.kind is Kind.FILE:
            place.write_bytes(b"new " + entry.path.rpartition("/")[2].encode())


def prepared(root: Path) -> tuple[Workplace, list[Entry]]:
    """Return a workplace in which everything is ready."""
    base(root)
    work, entries = fresh_workplace([root]), change(root)
    ready(work, entries)
    return work, entries


def in_child(do: Callable[[], None]) -> int:
    """Run something in a process of its own; return its wait status."""
    pid = os.fork()
    if not pid:
        try:
            do()
        finally:
            os._exit(9)
    return os.waitpid(pid, 0)[1]


def swap_until(work: Workplace, entries: list[Entry], calls: int, act: Callable[[], Any]) -> None:
    """Swap in this process, with `act` in place of the system call after so many."""
    count = 0
    for name in CALLS:
        real = getattr(os, name)

        def counted(*args: Any, real: Any = real, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count > calls:
                act()
            return real(*args, **kwargs)

        setattr(os, name, counted)
    swap(work, entries)
    os._exit(0)


def kill() -> None:
    """End this process as SIGKILL does."""
    os.kill(os.getpid(), signal.SIGKILL)
