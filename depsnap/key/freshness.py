"""Whether a command may install something else tomorrow. Pure."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from depsnap.key.installers import Installer, positional
from depsnap.key.requirements import is_pinned, local_path

_UPGRADES: Final = frozenset({"-U", "--upgrade", "--pre", "--upgrade-package", "-P"})
_LOCKED: Final = (("npm", "ci"), ("uv", "sync"), ("pnpm", "install"), ("poetry", "install"))
"""Commands that install what a lock file says."""


def is_lasting(command: Sequence[str], installer: Installer, files_pinned: bool) -> bool:
    """Say whether the command gives the same on every day, as far as its words tell."""
    words = list(command)
    if _UPGRADES & set(words):
        return False
    if installer is Installer.PIP:
        return files_pinned and all(
            is_pinned(word) or local_path(word) is not None for word in positional(words)
        )
    program = PurePath(words[0]).name
    if any((program, *words[1:2]) == locked for locked in _LOCKED):
        return True
    return installer is Installer.SETUP
