"""Capture by an overlay over each root, in a mount namespace that only the command sees.

What the command writes lands in a directory beside the root, on the same file system. When it ends,
whole new subtrees are renamed into the root: nothing is copied, and until then the root is as it
was. That happens also where the command fails, because without us it would have left the same.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bootseer.errors import BootseerError, HostError
from depsnap.capture import enter
from depsnap.capture.captured import Captured
from depsnap.capture.difference import with_parents
from depsnap.capture.ground import Ground, ObjectionError
from depsnap.capture.left_out import LeftOut
from depsnap.capture.running import (
    ORPHANS_S,
    STILL_RUNNING,
    Ran,
    Step,
    adopt_orphans,
    cannot_start,
    wait_for,
    wait_for_orphans,
)
from depsnap.capture.upper import Upper
from depsnap.swap.swap import swap
from depsnap.swap.workplace import HIDDEN, Workplace, fresh_workplace
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, sort_key

_OPTIONS: Final = "redirect_dir=off,metacopy=off,index=off"
"""With one of these on, what is in the upper directory would not be all that was changed."""
_USER_OPTIONS: Final = "redirect_dir=nofollow,metacopy=off,index=off,userxattr"
"""Likewise: `off` is refused there, because it would follow what others wrote."""
_SPECIAL: Final = frozenset(",:\\ \n\t")
"""Characters that mount options would have to escape."""


class NotAllowedError(BootseerError):
    """This way is not open here. The command did not run."""


def capture_by_overlay(
    step: Step,
    roots: tuple[Path, ...],
    leave: LeftOut,
    ground: Ground | None = None,
    *,
    in_user_namespace: bool,
) -> Captured:
    """Run a command and return what it changed, which is in place.

    With a ground under it that counts as changed by the command, too.

    Raises:
        NotAllowedError: the kernel or the file system does not allow it. The command did not run.
        ObjectionError: what it did on this ground does not count, and is gone.
        HostError: what it changed cannot be put into place, and is lost; run it again without us.
    """
    work = fresh_workplace(roots)
    try:
        _make(work)
        if ground is not None:
            ground.lay(work)
        ran = _run(work, step, own_users=in_user_namespace)
        changes: list[tuple[str, Kind]] = []
        prefix = "user.overlay." if in_user_namespace else "trusted.overlay."
        for root in roots:
            changes += Upper(work.new(root), root, prefix).changes()
        if ground is not None:
            failed = f"the command ended with {ran.code}" if ran.code else ""
            if objection := failed or ground.objection(work, changes):
                raise ObjectionError(objection)
        changes.sort(key=lambda one: sort_key(one[0]))  # of several roots
        swap(work, [_bare(path, kind, work) for path, kind in changes])
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from error
    finally:
        work.remove()
    method = "user overlay" if in_user_namespace else "overlay"
    remarks = (STILL_RUNNING,) if ran.left_running else ()
    return Captured(ran, method, with_parents(dict(without_left_out(changes, leave))), remarks)


def _make(work: Workplace) -> None:
    for root in work.roots:
        if _SPECIAL & set(str(root)):
            raise NotAllowedError(f"{root} has a character that mount options cannot have")
    try:
        work.make()
        for root in work.roots:
            for name in ("work", "empty", "merged"):
                (work.home(root) / name).mkdir()
            _as_the_root(work.new(root), root)
    except OSError as error:
        raise NotAllowedError(f"{error.filename}: {error.strerror}") from error


def _as_the_root(upper: Path, root: Path) -> None:
    """Give the upper directory mode and owner of the root, which the command sees as the root's."""
    status = root.stat()
    upper.chmod(status.st_mode & 0o7777)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(upper, status.st_uid, status.st_gid)


def _run(work: Workplace, step: Step, *, own_users: bool) -> Ran:
    """Run the command over overlays; wait for it and for what it leaves running."""
    reader, said = os.pipe()
    asked = {
        "own_users": own_users,
        "options": _USER_OPTIONS if own_users else _OPTIONS,
        "overlays": [_overlay(work, root) for root in work.roots],
        # The root directory itself cannot be covered for who is in it already.
        "chroot": str(_point(work, Path("/"))) if Path("/") in work.roots else None,
        "cwd": str(step.cwd),
        "command": step.command,
        "environment": dict(step.environment),
        "said": said,
    }
    began = time.monotonic()
    adopt_orphans()
    document = _in_memory(json.dumps(asked).encode())
    with os.fdopen(reader, "rb") as answers:
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", enter.__file__, str(document)],
                pass_fds=(said, document),
            )
        finally:
            os.close(said)
            os.close(document)
        code = wait_for(process, step.alive)
        answer = answers.read().decode(errors="replace")
    seconds = time.monotonic() - began
    return Ran(_judged(answer, step, code), seconds, not wait_for_orphans(ORPHANS_S))


def _in_memory(data: bytes) -> int:
    """Return a descriptor to read `data` from: as an argument it might be too long."""
    descriptor = os.memfd_create("asked")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _judged(answer: str, step: Step, code: int) -> int:
    """Return the exit code, by what was said on the way. NotAllowedError if nothing was run."""
    words = answer.split(" ", 2)
    if words[0] == "refused":
        raise NotAllowedError(words[2])
    if words[0] != "ready":
        raise NotAllowedError("the helper process died")
    if words[1:2] == ["missing"]:
        return cannot_start(step.command[0], int(words[2]))
    return code


def _overlay(work: Workplace, root: Path) -> dict[str, str]:
    home = work.home(root)
    return {
        "root": str(root),
        "point": str(_point(work, root)),
        "upper": str(work.new(root)),
        "work": str(home / "work"),
        "empty": str(home / "empty"),
        "hidden": f"/{HIDDEN}",
    }


def _point(work: Workplace, root: Path) -> Path:
    return work.home(root) / "merged" if root == Path("/") else root


def _bare(path: str, kind: Kind, work: Workplace) -> Entry:
    """Return an entry with what putting it into place asks for."""
    if kind not in DIRECTORIES:
        return Entry(path, kind)
    status = work.ready(path).lstat()
    return Entry(path, kind, status.st_mode & 0o7777, status.st_uid, status.st_gid)


def without_left_out(changes: list[tuple[str, Kind]], leave: LeftOut) -> list[tuple[str, Kind]]:
    """Return the changes without what is never captured and all that is below it."""
    found = []
    whole: str | None = None
    for path, kind in changes:
        if whole is not None and path.startswith(f"{whole}/"):
            continue
        if leave.leaves_out(path, path.rpartition("/")[2]):
            whole = path
        else:
            found.append((path, kind))
    return found
