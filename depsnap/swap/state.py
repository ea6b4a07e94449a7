"""What was put into a root last: so that the next start sees that there is nothing to do.

A key changes by what its own command installs. So the state has the key's ingredients as they were
before, and of those that the command changes what they are now.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.atomic import write_atomic
from depsnap.key.ingredients import Ingredient
from depsnap.swap.workplace import HIDDEN

_VERSION: Final = 1
OUTCOMES: Final = frozenset({"installed", "system packages", "accounts"})
"""Ingredients that installing changes."""


@dataclass(frozen=True, slots=True)
class State:
    """What was put there."""

    key: str
    """Of the step, as it was before."""
    fresh_until: int | None
    """Seconds since 1970; None: for ever."""
    causes: tuple[tuple[str, str], ...]
    """Names and digests of all other ingredients, as they were and still are."""
    outcome: tuple[tuple[str, str], ...]
    """Of `OUTCOMES`, afterwards."""

    def holds(self, now: Sequence[Ingredient], seconds: float) -> bool:
        """Say whether a step with these ingredients finds its result in place, at this time."""
        same = (self.causes, self.outcome) == _parted(now)
        return same and (self.fresh_until is None or seconds < self.fresh_until)


def state_of(key: str, fresh_until: int | None, after: Sequence[Ingredient]) -> State:
    """Return the state after a step with this key, by its ingredients computed anew."""
    return State(key, fresh_until, *_parted(after))


def _parted(
    ingredients: Sequence[Ingredient],
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    pairs = [(one.name, one.digest) for one in ingredients]
    causes = tuple(pair for pair in pairs if pair[0] not in OUTCOMES)
    return causes, tuple(pair for pair in pairs if pair[0] in OUTCOMES)


def write_state(roots: Iterable[Path], state: State) -> None:
    """Write it down in each root: each may be on a file system that goes away alone."""
    document = {
        "version": _VERSION,
        "key": state.key,
        "fresh_until": state.fresh_until,
        "causes": state.causes,
        "outcome": state.outcome,
    }
    for root in roots:
        (root / HIDDEN).mkdir(exist_ok=True)
        write_atomic(root / HIDDEN / "state", json.dumps(document).encode(), durable=False)


def forget_state(roots: Iterable[Path]) -> None:
    """Let nothing be known of these roots."""
    for root in roots:
        (root / HIDDEN / "state").unlink(missing_ok=True)


def read_state(roots: Iterable[Path]) -> State | None:
    """Return what was put into all of these roots; None if that is not known."""
    found = {_read(root) for root in roots}
    return found.pop() if len(found) == 1 else None


def _read(root: Path) -> State | None:
    try:
        document = json.loads((root / HIDDEN / "state").read_bytes())
        if document["version"] != _VERSION:
            return None
        fresh = document["fresh_until"]
        return State(
            str(document["key"]),
            None if fresh is None else int(fresh),
            tuple((name, digest) for name, digest in document["causes"]),
            tuple((name, digest) for name, digest in document["outcome"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
