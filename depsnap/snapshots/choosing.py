"""Which snapshots somebody means, and which nobody needs. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from bootseer.errors import NotFoundError, UsageError
from depsnap.snapshots.library import Stored

LEAST_PREFIX = 4
"""Characters of a key that are taken for a name of it."""
NEVER: Final[Mapping[tuple[str, str, int], float]] = MappingProxyType({})
"""Nothing was used."""


def chosen(stored: Sequence[Stored], name: str, key: str) -> list[Stored]:
    """Return the snapshots of a job whose key begins with `key`; all of them without one.

    Raises:
        NotFoundError: there is none.
        UsageError: it is too short to mean one.
    """
    if key and len(key) < LEAST_PREFIX:
        raise UsageError(f"{key}: at least {LEAST_PREFIX} characters of a key are needed")
    found = [one for one in stored if one.head.name == name and one.head.key.startswith(key)]
    if not found:
        raise NotFoundError(f"there is no snapshot of {name}" + (f" for {key}" if key else ""))
    return found


def unneeded(
    stored: Sequence[Stored],
    made_before: float | None = None,
    used_before: float | None = None,
    uses: Mapping[tuple[str, str, int], float] = NEVER,
) -> list[Stored]:
    """Return what later generations took the place of, what was made before a time, and what was
    neither made nor used since another; `uses` are those of `Library.last_uses`."""
    newest: dict[tuple[str, str], int] = {}
    for one in stored:
        where = (one.head.name, one.head.key)
        newest[where] = max(newest.get(where, 0), one.generation)
    return [
        one
        for one in stored
        if one.generation < newest[one.head.name, one.head.key]
        or (made_before is not None and one.head.created < made_before)
        or (used_before is not None and _last_use(one, uses) < used_before)
    ]


def _last_use(stored: Stored, uses: Mapping[tuple[str, str, int], float]) -> float:
    which = (stored.head.name, stored.head.key, stored.generation)
    return max(stored.head.created, uses.get(which, 0.0))
