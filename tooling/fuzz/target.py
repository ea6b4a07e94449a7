"""What a target is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tooling.places import REPOSITORY

FOUND: Final = REPOSITORY / "tests" / "fuzz"
"""Inputs that once broke a parser, in a directory for each target: run before anything else."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser, or several that belong together."""

    name: str
    run: Callable[[bytes], object]
    """Takes any input. Raises what nobody means to raise, and `WrongResultError`."""
    made: Callable[[], Iterable[bytes]]
    """Makes inputs to begin with: good ones, of every kind that there is."""
    largest: int = 64 << 10
    """Bytes of an input, at most."""

    def seeds(self) -> list[bytes]:
        """Return what to begin with: inputs that were found once, and made ones."""
        found = sorted((FOUND / self.name).glob("*"))
        return [path.read_bytes() for path in found] + list(self.made())


class WrongResultError(Exception):
    """A parser took something for what it is not."""


def must(holds: bool, what: str) -> None:
    """Raise `WrongResultError` unless something holds."""
    if not holds:
        raise WrongResultError(what)


def found_file(target: str, name: str) -> Path:
    """Return where an input that broke a target is kept."""
    return FOUND / target / name
