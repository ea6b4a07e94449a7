"""Before the keeper starts: can the daemon live in its directories at all? One clear answer.

What can only be found out by the kernel's mounting is found out by the server.
"""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from bootseer.errors import HostError
from snapshotter.blocks import lock

_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""A full disk is no reason not to start: what is on it is served."""


def check_directories(root: Path, *others: Path) -> None:
    """Make the daemon's directories where they are missing, and see that they can be written to.

    Raises:
        HostError: naming the directory and what to do; also if another daemon uses `root`.
    """
    for path in (root, *others):
        _make(path)
        _try_writing(path)
    try:
        os.close(lock.take(root))
    except BlockingIOError as error:
        raise HostError(
            f"another daemon uses the root directory {root}",
            hint="stop it, or give each a `root`, `run_dir` and `address` of its own",
        ) from error
    except OSError as error:
        if error.errno not in _ROOM:
            raise _unusable(root, error) from error


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def _try_writing(path: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        if error.errno not in _ROOM:
            raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> HostError:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return HostError(
            f"{path} cannot be a directory: a file is in its place",
            hint="move the file away, or set another path in bootseer.yaml",
        )
    return HostError(
        f"directory {path} cannot be used: {error.strerror}",
        hint="make it writable for root, or set another path in bootseer.yaml",
    )
