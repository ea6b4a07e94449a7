"""The files of an installation: compare with what is there, then write or remove. Idempotent."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Outcome = Literal["unchanged", "written", "removed", "kept"]

_SYMLINK: Final = 0


@dataclass(frozen=True, slots=True)
class File:
    """A file as it should be. `path` is absolute as the node will see it."""

    path: str
    content: str
    """The text; of a symbolic link (`mode` 0) its target."""
    mode: int = 0o644
    keep: bool = False
    """Somebody's to edit: written only where it is missing, removed only while unedited."""


def link(path: str, target: str) -> File:
    """Return a symbolic link."""
    return File(path, target, _SYMLINK)


class Tree:
    """The node's file system below `root`; changes nothing when `dry`."""

    def __init__(self, root: Path, *, dry: bool = False) -> None:
        self.root = root
        self.dry = dry

    def at(self, path: str) -> Path:
        """Return where the node's absolute `path` is."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        """Return a file's text, or None where there is no file."""
        try:
            return self.at(path).read_text()
        except FileNotFoundError:
            return None

    def put(self, file: File) -> Outcome:
        """Make the file as it should be, by renaming, so that nobody sees half of it."""
        if self._is_as_it_should_be(file):
            return "unchanged"
        if file.keep and self.at(file.path).exists():
            return "kept"
        if not self.dry:
            self._write(file)
        return "written"

    def remove(self, file: File) -> Outcome:
        """Remove the file, unless somebody edited it and it is theirs to edit."""
        target = self.at(file.path)
        if not os.path.lexists(target):
            return "unchanged"
        if file.keep and not self._is_as_it_should_be(file):
            return "kept"
        if not self.dry:
            target.unlink()
            self._remove_if_empty(target.parent)
        return "removed"

    def _is_as_it_should_be(self, file: File) -> bool:
        target = self.at(file.path)
        if file.mode == _SYMLINK:
            return target.is_symlink() and str(target.readlink()) == file.content
        if target.is_symlink() or not target.is_file():
            return False
        same_mode = target.stat().st_mode & 0o777 == file.mode
        return same_mode and target.read_text() == file.content

    def _write(self, file: File) -> None:
        target = self.at(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.bootseer")
        partial.unlink(missing_ok=True)
        if file.mode == _SYMLINK:
            partial.symlink_to(file.content)
        else:
            partial.write_text(file.content)
            partial.chmod(file.mode)
        partial.rename(target)

    def _remove_if_empty(self, directory: Path) -> None:
        """Remove a directory of ours that nothing is left in."""
        if directory.name in {"bootseer", "conf.d", "config.toml.d", "config-v3.toml.d"}:
            with contextlib.suppress(OSError):
                directory.rmdir()
