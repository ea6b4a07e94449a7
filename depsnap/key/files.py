"""The files that a command reads, as ingredients: their contents count, not their names.

Requirements and constraints with what they include, archives and source trees on this machine,
directories with wheels, and every existing file that is a word of the command (scripts, locks).
"""

import hashlib
import os
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bootseer.errors import UsageError
from depsnap.key.ingredients import Ingredient, ingredient
from depsnap.key.installers import Installer, option_values, positional
from depsnap.key.redaction import redact_text
from depsnap.key.requirements import local_path, parse_requirements, without_extras
from depsnap.limits import DEFAULT, Limits

_LOCKS: Final = (
    "pyproject.toml",
    "uv.lock",
    "pylock.toml",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "environment.yml",
    "setup.py",
    "setup.cfg",
)
"""Files of the working directory that installers read without being told."""
_NO_SOURCE: Final = frozenset(
    {"__pycache__", "build", "dist", "node_modules", ".git", ".hg", ".svn", ".tox", ".venv", "venv"}
)
_ZIPS: Final = (".whl", ".zip")
_END: Final = struct.Struct("<4s4H2LH")
"""End of a zip file's central directory (PKWARE's APPNOTE, 4.3.16)."""
_TAIL: Final = 64 << 10
_TEXT: Final = 1 << 20
"""A file of a command up to this size is looked at line by line if it is text."""


@dataclass(slots=True)
class _Collected:
    """What was found so far."""

    limits: Limits
    found: dict[str, Ingredient] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    pinned: bool = True

    def count(self, path: Path, size: int) -> None:
        self.files, self.bytes = self.files + 1, self.bytes + size
        if self.files > self.limits.input_files or self.bytes > self.limits.input_bytes:
            raise UsageError(
                f"{path}: too much to be part of a key",
                hint="name files instead of directories, or use --key-extra and --no-inputs",
            )


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a command reads."""

    ingredients: tuple[Ingredient, ...]
    pinned: bool
    """Whether its requirements files name one version of everything."""


def inputs_of(
    command: Sequence[str], installer: Installer, cwd: Path, limits: Limits = DEFAULT
) -> Inputs:
    """Return the ingredients of the files that a command reads.

    Raises:
        UsageError: there are too many, or too large ones.
        OSError: one cannot be read.
    """
    into = _Collected(limits)
    if installer in (Installer.PIP, Installer.UV):
        _add_named(into, command, cwd)
    if installer is not Installer.PIP:
        for name in _LOCKS:
            _add_file(into, name, cwd / name)
    for word in command[1:]:
        name = word.partition("=")[2] if word.startswith("-") else word
        if name and name not in into.found:
            _add_file(into, name, cwd / name)
    if "/" in command[0] and _is_script(cwd / command[0]):
        _add_file(into, command[0], cwd / command[0])
    return Inputs(tuple(into.found[name] for name in sorted(into.found)), into.pinned)


def _add_named(into: _Collected, command: Sequence[str], cwd: Path) -> None:
    """Add what pip's or uv's options and words name."""
    for name in option_values(command, "-r", "--requirement", "-c", "--constraint"):
        _add_requirements(into, name, cwd / name, cwd)
    for name in option_values(command, "-f", "--find-links"):
        if "://" not in name:
            _add_links(into, name, cwd / name)
    for word in positional(command):
        if (path := local_path(word)) is not None:
            _add_local(into, path, cwd / path)
    for name in option_values(command, "-e", "--editable"):
        if "://" not in name:
            _add_source(into, without_extras(name), cwd / without_extras(name))


def _add_requirements(into: _Collected, name: str, path: Path, cwd: Path) -> None:
    if name in into.found or "://" in name:
        into.pinned = into.pinned and "://" not in name
        return
    size = path.stat().st_size
    if size > into.limits.requirements:
        raise UsageError(f"{path}: {size} bytes are no requirements file")
    into.count(path, size)
    text = path.read_text("utf-8", "surrogateescape")
    lines = text.splitlines()
    content = redact_text(text).encode("utf-8", "surrogateescape")
    into.found[name] = ingredient(name, lines, content, into.limits)
    parsed = parse_requirements(text)
    into.pinned = into.pinned and parsed.pinned
    for below in parsed.nested:
        nested = os.path.normpath(os.path.join(os.path.dirname(name), below))  # noqa: PTH118, PTH120
        _add_requirements(into, nested, cwd / nested, cwd)
    for below in parsed.local:
        _add_local(into, below, cwd / below)
    for below in parsed.links:
        _add_links(into, below, cwd / below)


def _add_local(into: _Collected, name: str, path: Path) -> None:
    if path.is_dir():
        _add_source(into, name, path)
    else:
        _add_file(into, name, path)


def _add_file(into: _Collected, name: str, path: Path) -> None:
    """Add a regular file; nothing if it is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(status.st_mode):
        return
    into.count(path, status.st_size)
    into.found[name] = ingredient(name, *_content(path, status.st_size), into.limits)


def _content(path: Path, size: int) -> tuple[list[str], bytes]:
    """Return (lines to show, bytes that stand for the contents) of a file."""
    if path.name.endswith(_ZIPS) and (listed := _central_directory(path, size)) is not None:
        return [f"{size} bytes"], listed
    if size <= _TEXT:
        data = path.read_bytes()
        try:
            text = redact_text(data.decode())
        except UnicodeDecodeError:
            return [f"{size} bytes"], data
        return text.splitlines(), text.encode()
    with path.open("rb") as file:
        return [f"{size} bytes"], hashlib.file_digest(file, "sha256").digest()


def _central_directory(path: Path, size: int) -> bytes | None:
    """Return a zip file's list of members, which has a CRC of each; None if it has no plain one.

    It stands for the contents and is read in no time, however large the wheel is.
    """
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END.size:
            return None
        _, _, _, _, _, length, offset, _ = _END.unpack_from(tail, at)
        if not 0 < length <= min(size, 64 << 20) or offset + length > size:
            return None
        file.seek(offset)
        return size.to_bytes(8, "little") + file.read(length) + tail[at:]


def _add_links(into: _Collected, name: str, path: Path) -> None:
    """Add a directory of archives."""
    lines, content = [], hashlib.sha256()
    for one in sorted(path.iterdir()) if path.is_dir() else [path]:
        if one.is_file():
            size = one.stat().st_size
            into.count(one, 0 if one.name.endswith(_ZIPS) else size)
            digest = hashlib.sha256(_content(one, size)[1]).hexdigest()
            lines.append(f"{one.name} {digest[:12]}")
            content.update(f"{one.name}\0{digest}\0".encode("utf-8", "surrogateescape"))
    into.found[name] = ingredient(name, lines, content.digest(), into.limits)


def _add_source(into: _Collected, name: str, path: Path) -> None:
    """Add a source tree: all of its files but for what is built or versioned in it."""
    lines, content = [], hashlib.sha256()
    for relative, one in _sources(path):
        size = one.stat().st_size
        into.count(one, size)
        with one.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{relative} {digest[:12]}")
        content.update(f"{relative}\0{digest}\0".encode("utf-8", "surrogateescape"))
    into.found[name] = ingredient(name, lines, content.digest(), into.limits)


def _sources(path: Path) -> Iterator[tuple[str, Path]]:
    for directory, names, files in os.walk(path):
        names[:] = sorted(
            name for name in names if name not in _NO_SOURCE and not name.endswith(".egg-info")
        )
        for name in sorted(files):
            one = Path(directory, name)
            if one.is_file() and not re.search(r"\.(pyc|so|o)$", name):
                yield str(one.relative_to(path)), one


def _is_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False
