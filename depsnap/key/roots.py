"""The directories that a snapshot is of. Pure, but for links on the way to them."""

import os
from collections.abc import Iterable

from bootseer.errors import UsageError


def normal_roots(roots: Iterable[str]) -> tuple[str, ...]:
    """Return roots with links followed, sorted, without those that lie in others.

    Raises:
        UsageError: one is no absolute path.
    """
    found: list[str] = []
    for root in sorted({os.path.realpath(root) for root in _absolute(roots)}):
        if not any(above in (root, "/") or root.startswith(f"{above}/") for above in found):
            found.append(root)
    return tuple(found)


def _absolute(roots: Iterable[str]) -> list[str]:
    roots = list(roots)
    for root in roots:
        if not root.startswith("/") or "\0" in root:
            raise UsageError(f"{root!a} is no absolute path")
    return roots
