"""What a run is told, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depsnap.key.compose import Composed, composed_again
from depsnap.swap.state import forget_state, state_of, write_state

Say = Callable[[str], None]
"""How a user is told what is done: a line each."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an install step."""

    code: int
    """The command's exit code; 0 where it was not run."""
    how: Literal["present", "mounted", "restored", "captured", "plain"]


def remember(composed: Composed, fresh_until: int | None) -> None:
    """Write down that it is in place, so that the next start here has nothing to do."""
    after = composed_again(composed)
    write_state(map(Path, composed.roots), state_of(composed.key, fresh_until, after))


def forget(composed: Composed) -> None:
    """Let the next start here not believe that it is in place."""
    forget_state(map(Path, composed.roots))
