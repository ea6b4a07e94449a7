"""The linker's cache of shared libraries, which is made here and never restored."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from typing import Final

from depsnap.tree.entries import Entry, Kind

_CACHED: Final = re.compile(
    r"(?:usr/)?(?:local/)?lib(?:32|64)?/(?:[^/]+/)?[^/]+\.so(?:\.[0-9.]+)?|etc/ld\.so\.conf(?:\.d/.*)?"
)
"""What the cache is made from: libraries in the linker's own directories, and its configuration."""
_BEGINNINGS: Final = ("lib", "usr/", "etc/ld.so.conf")
_PATIENCE_S: Final = 120.0


def concern_linker(entries: Iterable[Entry]) -> bool:
    """Say whether the linker's cache is out of date after these changes."""
    near = [entry for entry in entries if entry.path.startswith(_BEGINNINGS)]
    return any(
        entry.kind not in (Kind.KEPT, Kind.NEW) and _CACHED.fullmatch(entry.path) for entry in near
    )


def make_linker_cache() -> bool:
    """Run `ldconfig`; say whether that worked.

    Links to libraries are left alone (`-X`): it would remove those that lead nowhere, and where
    they lead may only be somewhere else, as with alternatives.
    """
    program = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if program is None:
        return False
    try:
        done = subprocess.run(
            [program, "-X"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
