"""Where work is done beside a root: a hidden directory in it, on the same file system.

```
ROOT/.depsnap/
  lock           held by whoever works on this root (in the first root of several)
  state          what was put there last
  work/ID/       one piece of work: new/ what is ready, old/ what was there, journal
```
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import HostError
from depsnap.tree.entries import lies_in

HIDDEN: Final = ".depsnap"
"""Name of the directory, which no snapshot contains."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """The directories of one piece of work, one a root."""

    roots: tuple[Path, ...]
    """None inside another."""
    id: str

    def home(self, root: Path) -> Path:
        """Return the directory of this work in a root."""
        return root / HIDDEN / "work" / self.id

    def new(self, root: Path) -> Path:
        """Return where what is ready for a root lies, as below the root itself."""
        return self.home(root) / "new"

    def old(self, root: Path) -> Path:
        """Return where what was in a root is kept."""
        return self.home(root) / "old"

    @property
    def journal(self) -> Path:
        """The file that says what is to be done once everything is ready."""
        return self.home(self.roots[0]) / "journal"

    def root_of(self, path: str) -> Path:
        """Return the root that a path, without its slash, is in. KeyError if in none."""
        for root in self.roots:
            if lies_in(path, str(root).strip("/")):
                return root
        raise KeyError(path)

    def ready(self, path: str) -> Path:
        """Return where what is ready for a path lies."""
        root = self.root_of(path)
        inside = path[len(str(root).strip("/")) :].lstrip("/")
        return self.new(root) / inside if inside else self.new(root)

    def places(self) -> Callable[[str], str]:
        """Return `ready` for very many paths: the same as text."""
        prefixes = [(str(root).strip("/"), str(self.new(root))) for root in self.roots]

        def place(path: str) -> str:
            for inside, new in prefixes:
                if lies_in(path, inside):
                    return f"{new}/{path[len(inside) :].lstrip('/')}"
            raise KeyError(path)

        return place

    def make(self) -> None:
        """Make the directories."""
        for root in self.roots:
            self.new(root).mkdir(parents=True, mode=0o700)
            self.old(root).mkdir(mode=0o700)

    def remove(self) -> None:
        """Remove them with everything in them, as far as that works.

        First of all the journal: as long as it is there, `old/` tells what was done. What stays
        is removed by the next who works here.
        """
        try:
            self.journal.unlink(missing_ok=True)
        except OSError:
            return
        for root in self.roots:
            shutil.rmtree(self.home(root), ignore_errors=True)


def fresh_workplace(roots: Sequence[Path]) -> Workplace:
    """Return a workplace that nobody else has. Nothing is made yet."""
    return Workplace(tuple(roots), f"{os.getpid()}-{os.urandom(6).hex()}")


@contextlib.contextmanager
def filling(roots: Sequence[Path]) -> Iterator[Workplace]:
    """Make a fresh workplace to be filled in the block; it is removed if that fails.

    Raises:
        HostError: in place of `OSError`, with the file that could not be made.
    """
    work = fresh_workplace(roots)
    try:
        work.make()
        yield work
    except OSError as error:
        work.remove()
        raise HostError(f"{error.filename or roots[0]}: {error.strerror}") from error
    except BaseException:
        work.remove()
        raise


def unfinished(roots: Sequence[Path]) -> Iterator[Workplace]:
    """Yield what earlier work left behind."""
    found = set()
    for root in roots:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found |= set(os.listdir(root / HIDDEN / "work"))  # noqa: PTH208 (names only)
    for name in sorted(found):
        yield Workplace(tuple(roots), name)
