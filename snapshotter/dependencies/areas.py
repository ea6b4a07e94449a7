"""What is mounted for whom, on disk, so that it survives the daemon.

    <root>/d/<id>.json   `Covered`: which image is mounted, over what
    <root>/d/connection  see `CoveredAreas.connection`
    <root>/d/<id>/       the upper directories of its overlays, by number; perhaps a tmpfs

An area is in use as long as an overlay uses it, in whichever namespace: that is asked of the
kernel, so that whatever ends a container leaves nothing that is not found.

Race-free: the event loop's thread only.
"""

import json
import logging
import secrets
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bootseer import kernel
from bootseer.atomic import write_atomic
from bootseer.errors import CorruptError

log = logging.getLogger(__name__)

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Covered:
    """One image over some directories of one namespace."""

    name: str
    """Name of the job whose snapshot it is."""
    space: int
    """Mount namespace."""
    container: str
    """Whose it is; empty: the node's own."""
    points: tuple[str, ...]
    layers: tuple[str, ...]
    """Mounts of ours below it (text forms of `MountId`), that it was made with first."""

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return json.dumps({"version": _VERSION, **asdict(self)}).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Covered":
        """Parse a file of ours. CorruptError if it is none."""
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("version") != _VERSION:
                raise CorruptError("covered: of another version")
            fields["points"], fields["layers"] = map(tuple, (fields["points"], fields["layers"]))
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptError(f"covered: {error}") from error


class CoveredAreas:
    """All of a node."""

    def __init__(self, directory: Path) -> None:
        """Find what an earlier server left in `directory`."""
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._all: dict[str, Covered] = {}
        for path in directory.glob("*.json"):
            try:
                self._all[path.stem] = Covered.decode(path.read_bytes())
            except CorruptError as error:
                fields = {"path": str(path), "reason": error.message}
                log.warning("deps.area_unreadable", extra={"fields": fields})

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def layers(self) -> set[str]:
        """Return the mounts below all of them."""
        return {layer for one in self._all.values() for layer in one.layers}

    def in_space(self, space: int) -> int:
        """Return how many a namespace has."""
        return sum(one.space == space for one in self._all.values())

    def all(self) -> dict[str, Covered]:
        """Return all, by their ids."""
        return dict(self._all)

    def path(self, number: str) -> Path:
        """Return the directory of an area."""
        return self._directory / number

    def begin(self, covered: Covered) -> str:
        """Make an area; return its id. OSError if the disk does not take it."""
        number = secrets.token_hex(8)
        self._keep(number, covered)
        self.path(number).mkdir(mode=0o700)
        return number

    def add_layers(self, number: str, *layers: str) -> None:
        """Note mounts that it is made with instead, first."""
        covered = self._all[number]
        self._keep(number, replace(covered, layers=(*layers, *covered.layers)))

    def _keep(self, number: str, covered: Covered) -> None:
        # After a power failure nothing is mounted: no need to be durable.
        write_atomic(self._directory / f"{number}.json", covered.encode(), durable=False)
        self._all[number] = covered

    def end(self, number: str) -> Covered:
        """Remove an area that nobody uses. Blocks a little."""
        covered = self._all.pop(number)
        kernel.unmount(str(self.path(number)), lazy=True)
        shutil.rmtree(self.path(number), ignore_errors=True)
        (self._directory / f"{number}.json").unlink(missing_ok=True)
        return covered

    def connection(self, *, fresh: bool) -> str:
        """Return a word that is another one for each FUSE connection; `fresh`: this one is new.

        Overlays over block files of an earlier connection are of no use any more.
        """
        path = self._directory / "connection"
        if fresh or not path.exists():
            write_atomic(path, secrets.token_hex(4).encode(), durable=False)
        return path.read_text()

    def remove_rubbish(self) -> None:
        """Remove directories that nothing is known of."""
        for path in self._directory.iterdir():
            if path.is_dir() and path.name not in self._all:
                kernel.unmount(str(path), lazy=True)
                shutil.rmtree(path, ignore_errors=True)
