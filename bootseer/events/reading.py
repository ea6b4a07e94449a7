"""Reads events back, from files of any size and quality."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from bootseer.errors import CorruptError, NotFoundError
from bootseer.events.event import Event
from bootseer.events.line import LONGEST
from bootseer.events.parse import decode

_MOST_EVENTS: Final = 4_000_000
_MOST_FILES: Final = 100_000
_SUFFIX: Final = ".jsonl"


@dataclass(slots=True)
class Read:
    """What was read."""

    events: list[Event] = field(default_factory=list)
    broken: int = 0
    """Lines that are no events."""
    unreadable: list[str] = field(default_factory=list)
    """Files that cannot be read."""
    more: bool = False
    """There are more events than are looked at."""


def read_events(paths: Iterable[Path], most: int = _MOST_EVENTS) -> Read:
    """Return the events in files, and in the `.jsonl` files of directories, in their order there.

    What is broken is counted and passed over.

    Raises:
        NotFoundError: one of the paths does not exist.
    """
    found = Read()
    for path in _files(paths):
        try:
            with path.open("rb") as file:
                _read(file, found, most)
        except OSError as error:
            found.unreadable.append(f"{path}: {error.strerror}")
        if found.more:
            break
    return found


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix == _SUFFIX)
            yield from inside[:_MOST_FILES]
        elif path.exists():
            yield path
        else:
            raise NotFoundError(f"{path} does not exist")


def _read(file: BinaryIO, found: Read, most: int) -> None:
    while line := file.readline(LONGEST + 1):
        whole = line.endswith(b"\n")
        while not whole:  # it is longer than any event, or the last one and cut off
            rest = file.readline(1 << 16)
            whole = not rest or rest.endswith(b"\n")
        if not line.strip():
            continue
        if len(found.events) == most:
            found.more = True
            return
        try:
            found.events.append(decode(line))
        except CorruptError:
            found.broken += 1
