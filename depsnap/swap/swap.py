"""Does the steps of a plan, and undoes them.

Race-free against kills: each step is told from what is there whether it was done, so that doing all
steps again, from a journal, ends in the same state wherever the last one who tried was killed. What
is ready lies at its place in `new/` until the very system call that puts it into place; what was
there lies in `old/` under the number of its step until everything is done. Against others who work
on the same roots there is the lock (`lock.py`).
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from bootseer.errors import HostError
from depsnap.swap.journal import read_journal, write_journal
from depsnap.swap.steps import Act, Found, Step, plan
from depsnap.swap.workplace import HIDDEN, Workplace, unfinished
from depsnap.tree.entries import Entry


class LiveLook:
    """The file system as it is: a `Look`."""

    def at(self, path: str) -> Found | None:
        """Return what is at a path."""
        try:
            status = os.lstat(f"/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        mode = status.st_mode
        return Found(stat.S_ISDIR(mode), stat.S_IMODE(mode), status.st_uid, status.st_gid)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, but for our own."""
        return [name for name in os.listdir(f"/{path}") if name != HIDDEN]  # noqa: PTH208


def swap(work: Workplace, entries: Sequence[Entry]) -> int:
    """Put what is ready into place; return the number of steps. All of it, or nothing.

    Raises:
        HostError, OSError: it did not work, and what was done is undone.
    """
    steps: list[Step] = []
    begun = 0
    try:
        steps = plan(entries, LiveLook())
        write_journal(work, steps)
        for number, step in enumerate(steps):
            begun = number + 1
            _do(work, number, step)
    except BaseException as error:
        for number in reversed(range(begun)):
            _undo(work, number, steps[number])
        work.remove()
        if isinstance(error, OSError):
            raise HostError(f"{error.filename}: {error.strerror}") from error
        raise
    work.remove()
    return len(steps)


def recover(roots: Sequence[Path]) -> int:
    """Finish or undo what a killed process left; return how many pieces of work that were.

    With a journal everything was ready, and it is finished. Without one nothing had been touched.
    """
    found = 0
    for work in unfinished(roots):
        found += 1
        for number, step in enumerate(read_journal(work) or ()):
            _do(work, number, step)
        work.remove()
    return found


def _do(work: Workplace, number: int, step: Step) -> None:
    if step.act is Act.MODE:
        _set_owner(step, undo=False)
        return
    target, old = Path(f"/{step.path}"), work.old(work.root_of(step.path)) / str(number)
    if step.act is Act.PLACE:
        _place(work.ready(step.path), target, old)
    elif os.path.lexists(target) and not os.path.lexists(old):
        try:
            target.rename(old)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # A directory of an image's layer cannot be moved. Everything else is in place.
            _remove(target)


def _place(ready: Path, target: Path, old: Path) -> None:
    try:
        moves_directory = stat.S_ISDIR(os.lstat(ready).st_mode)
    except FileNotFoundError:
        return  # it is in place
    there = os.path.lexists(target) and not os.path.lexists(old)
    if there and (moves_directory or not _linked(target, old)):
        target.rename(old)
    ready.rename(target)


def _linked(target: Path, old: Path) -> bool:
    """Keep what is at a path by a link, so that the path is never without a file."""
    try:
        os.link(target, old, follow_symlinks=False)
    except OSError:
        return False
    return True


def _undo(work: Workplace, number: int, step: Step) -> None:
    if step.act is Act.MODE:
        _set_owner(step, undo=True)
        return
    target, old = Path(f"/{step.path}"), work.old(work.root_of(step.path)) / str(number)
    kept = os.path.lexists(old)
    placed = step.act is Act.PLACE and not os.path.lexists(work.ready(step.path))
    if placed and (not kept or target.is_dir() or old.is_dir()):
        target.rename(work.ready(step.path))
    if kept:
        old.rename(target)


def _set_owner(step: Step, *, undo: bool) -> None:
    wanted = step.before if undo else step.after
    if wanted is None:
        return
    path = f"/{step.path}"
    status = os.lstat(path)
    if os.geteuid() == 0 and (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid):
        os.chown(path, wanted.uid, wanted.gid)
    Path(path).chmod(wanted.mode)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
