"""A step's snapshot by a mount, where the node's daemon makes one.

Whatever stands against it is one line, and then the snapshot is unpacked as without it.
"""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bootseer import kernel
from bootseer.errors import BootseerError, NotFoundError
from depsnap.key.compose import Composed
from depsnap.mounting.daemon import Daemon, Mounted, NotMountedError
from depsnap.mounting.points import SOURCE
from depsnap.restore.owners import restorer
from depsnap.runs.finding import find, tree_of
from depsnap.runs.outcome import Say, remember
from depsnap.runs.settings import Job

_PATIENCE_S: Final = 60.0


def mount_step(job: Job, composed: Composed, say: Say) -> bool:
    """Have the snapshot of a step mounted; say whether it is in place."""
    if os.geteuid() != 0:
        say("not mounted, because only root can have that; it is unpacked")
        return False
    began = time.monotonic()
    daemon = Daemon(Path(job.settings.daemon), _PATIENCE_S)
    try:
        mounted = daemon.mount(_question(job, composed.roots, composed.key))
    except NotFoundError:
        return False  # what comes next says it in its own words
    except BootseerError as error:
        say(f"not mounted, but unpacked: {error}")
        return False
    try:
        _check_owners(mounted)
        if mounted.loose:
            _unpack_rest(job, composed, mounted, say)
    except BootseerError as error:
        say(f"not mounted, but unpacked: {error}")
        _undo(daemon, mounted, say)
        return False
    seconds = time.monotonic() - began
    say(f"mounted {mounted.entries - mounted.loose} entries in {seconds:.2f} s")
    remember(composed, mounted.fresh_until)
    return True


def renew_mounts(job: Job, roots: Sequence[str], key: str) -> None:
    """Have what is mounted mounted once more, if the daemon that did it is another by now.

    One that was stopped, not only killed, has left mounts without contents behind. Where there are
    none, and where nobody answers, all stays as it is.
    """
    if any(is_ours(kernel.find_mount(Path(root))) for root in roots):
        with contextlib.suppress(BootseerError):
            question = {**_question(job, roots, key), "stale": True}
            Daemon(Path(job.settings.daemon), _PATIENCE_S).mount(question)


def is_ours(found: kernel.MountPoint | None) -> bool:
    """Say whether a mount is of a snapshot."""
    return found is not None and found.source.startswith(SOURCE)


def _question(job: Job, roots: Sequence[str], key: str) -> Mapping[str, object]:
    return {
        "name": job.name,
        "key": key,
        "roots": list(roots),
        "store": job.settings.store.address,  # a pod gets it from the node's, whatever it says
        "digest": job.settings.digest,
    }


def _check_owners(mounted: Mounted) -> None:
    """Raise `NotMountedError` where the owners have other numbers here: a mount cannot change
    them."""
    who = restorer()
    for names, number_of in ((mounted.users, who.uid_of), (mounted.groups, who.gid_of)):
        for number, name in names.items():
            if number_of(name) not in (None, number):
                raise NotMountedError(f"{name} has another number here than {number}")


def _unpack_rest(job: Job, composed: Composed, mounted: Mounted, say: Say) -> None:
    from depsnap.mounting.loose import restore_loose  # noqa: PLC0415 (mostly there is none)

    found = find(job, composed, say, repair=False)
    if found is None or found.stored.digest != mounted.digest:
        raise NotMountedError("the snapshot was replaced meanwhile")
    restore_loose(
        found.stored.head,
        tree_of(job, found),
        mounted.points,
        job.settings.store,
        job.settings.workers,
    )


def _undo(daemon: Daemon, mounted: Mounted, say: Say) -> None:
    if mounted.points:
        try:
            daemon.unmount([f"/{point}" for point in mounted.points])
        except NotMountedError as error:
            say(f"the mount stays: {error}")
