"""Parts of a benchmark: a failed one says why, and does not take the others along."""

from collections.abc import Callable
from typing import TypeVar

from benchmarks.figures import Figure
from bootseer.errors import BootseerError
from tooling.progress import say

T = TypeVar("T")


def measured(name: str, part: Callable[[], list[Figure]]) -> list[Figure]:
    """Run a part and return its figures; one that counts as missed if it fails."""
    found = attempt(name, part)
    return [Figure(f"{name}: failed", None, "", 0.0)] if found is None else found


def attempt(name: str, measure: Callable[[], T]) -> T | None:
    """Return what `measure` returns; None, and a line that says why, if it fails."""
    try:
        return measure()
    except BootseerError as error:
        say(f"error: {name}: {error}")
        return None
