"""Trees that were restored on this node already, to be cloned or linked instead of unpacked.

A tree is kept by clones of the files that were unpacked, or by hard links to them; it costs names,
no data. With links a write through one name is a write through all, and people do edit what is
installed: so on every use each file is compared with what the snapshot says of it, size, time, mode
and owner; one that differs, and nothing of the tree is used (an edit that sets its time back is not
seen).

    <digest>/files/   the tree, by its absolute paths
    <digest>/entries  what it is (`columns.py`), so that the snapshot's own tree is not read
    <digest>/about    whose it is, and what was said of it when it was restored first

Race-free: a tree appears by a rename, whole. Who uses it holds a shared lock on it, who removes it
an exclusive one, and does so only to what it has renamed away.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import CorruptError
from depsnap.pool import ignore
from depsnap.restore.columns import Columns, columns_of, decode_columns, encode_columns
from depsnap.restore.linking import EditedError, Source, make_from
from depsnap.restore.making import Destination
from depsnap.restore.owners import Owners
from depsnap.tree.entries import DIRECTORIES, Tree

_KEPT: Final = 4
"""Trees that are kept; the one used longest ago goes first."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a restored tree besides its entries."""

    unprivileged: int
    """Entries that lost set-ID bits or capabilities, because root did not restore them."""
    linker: bool
    """Whether the linker's cache of libraries is out of date with it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A tree that was made from a kept one."""

    entries: Columns
    about: About


@dataclass(frozen=True, slots=True)
class TreeCache:
    """The kept trees."""

    directory: Path

    def has(self, digest: str) -> bool:
        """Say whether a tree is kept; it may turn out to be of no use."""
        return (self.directory / digest / "about").exists()

    def restore(
        self,
        digest: str,
        owners: Owners,
        to: Destination,
        workers: int,
        more: Callable[[int], None] = ignore,
    ) -> Kept | None:
        """Make everything in a tree but its deletions, from what is kept; None if that is not done.

        What is half made then is the caller's to remove. `more` hears of bytes that are there.
        """
        kept = self.directory / digest
        with contextlib.suppress(OSError, EditedError, CorruptError), _shared(kept):
            about = _read_about(kept, owners)
            columns = decode_columns((kept / "entries").read_bytes())
            make_from(Source(_below(kept / "files")), columns, to, workers, more)
            os.utime(kept)
            return Kept(columns, about)
        return None

    def keep(
        self, digest: str, tree: Tree, owners: Owners, about: About, made: Destination, workers: int
    ) -> bool:
        """Keep a tree that was made just now, and is not in use yet; say whether that is done."""
        new = self.directory / f".{digest[:16]}.{os.urandom(6).hex()}"
        files = new / "files"
        columns = columns_of(tree.entries)
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(digest)
            files.mkdir(mode=0o700, parents=True)
            for row, above in enumerate(columns.above):
                if above < 0 and columns[row].kind in DIRECTORIES:
                    (files / columns.paths[row]).mkdir(mode=0o700, parents=True, exist_ok=True)
            source = Source(made.place, fresh=True)
            make_from(source, columns, Destination(_below(files), made.uid, made.gid), workers)
            (new / "entries").write_bytes(encode_columns(columns))
            (new / "about").write_text(json.dumps([asdict(owners), asdict(about)]))
            new.rename(self.directory / digest)
        except OSError:  # on another file system, or there is no room for names
            shutil.rmtree(new, ignore_errors=True)
            return False
        return True

    def drop(self, digest: str) -> None:
        """Remove a tree, unless somebody uses it."""
        kept = self.directory / digest
        gone = self.directory / f".{os.urandom(8).hex()}"
        with contextlib.suppress(OSError), _exclusive(kept):
            kept.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _make_room(self, digest: str) -> None:
        """Remove what a killed process left, this tree if it is there, and the oldest."""
        trees = []
        for path in self.directory.iterdir():
            if path.name.startswith("."):
                if path.stat().st_mtime < self.directory.stat().st_mtime - 86_400:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.name != digest:
                trees.append((path.stat().st_mtime, path.name))
        self.drop(digest)
        for _, name in sorted(trees)[: max(0, len(trees) - _KEPT + 1)]:
            self.drop(name)


def _below(directory: Path) -> Callable[[str], str]:
    """Return where each path of a tree is that lies in a directory."""
    prefix = f"{directory}/"
    return lambda path: prefix + path


def _read_about(kept: Path, owners: Owners) -> About:
    """Return what is known of a kept tree. CorruptError if it has other owners, or makes no sense.

    It may belong to nobody else: whoever can write to it decides what is restored.
    """
    if kept.stat().st_uid != os.geteuid():
        raise CorruptError(f"{kept} belongs to somebody else")
    try:
        whose, about = json.loads((kept / "about").read_bytes())
        if whose != json.loads(json.dumps(asdict(owners))):
            raise CorruptError(f"{kept} was restored for somebody else")
        return About(int(about["unprivileged"]), bool(about["linker"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{kept}: {error}") from error


@contextlib.contextmanager
def _shared(path: Path) -> Iterator[None]:
    with _locked(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with _locked(path, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
