"""Which files are packed together: those of one installed distribution. Pure.

So one changed requirement changes one pack. A distribution lists its files in `RECORD`; compiled
files belong to their source, and what nobody lists to the top-level package that it lies in.
"""

import csv
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from depsnap.tree.entries import Entry, Kind, parent

_INFO: Final = re.compile(r"^(.+)-([^-/]+)\.dist-info/RECORD$")
_COMPILED: Final = re.compile(r"^(.*?)/?__pycache__/([^/]+)\.[a-z]+-?\d+[^/.]*(\.opt-\d)?\.pyc$")
_PACKAGES: Final = re.compile(r"(?:^|/)(?:site|dist)-packages/")
_ROWS: Final = 1_000_000
OTHER: Final = "other files"


def records(entries: Iterable[Entry]) -> list[str]:
    """Return the paths of all `RECORD` files."""
    return [
        entry.path
        for entry in entries
        if entry.kind is Kind.FILE and _INFO.match(_last_two(entry.path))
    ]


def owners(files: Mapping[str, str]) -> dict[str, str]:
    """Return the title of the distribution that owns each path.

    `files` has the text of each `RECORD` by its path.
    """
    found: dict[str, str] = {}
    for path, text in files.items():
        match = _INFO.match(_last_two(path))
        if match is None:
            continue
        title = f"{match[1]} {match[2]}"
        base = parent(parent(path))
        try:
            rows = [row[0] for row in csv.reader(text.splitlines()) if row][:_ROWS]
        except csv.Error:
            rows = []
        for row in rows:
            found[posixpath.normpath(posixpath.join(base, row)).lstrip("/")] = title
        found[path] = title
    return found


def title_of(path: str, owned: Mapping[str, str]) -> str:
    """Return the pack that a file belongs to."""
    if (title := owned.get(path)) is not None:
        return title
    if (source := source_of(path)) and (title := owned.get(source)) is not None:
        return title
    if match := _PACKAGES.search(path):
        top = path[match.end() :].partition("/")[0]
        return top.partition(".")[0][:200] or OTHER
    return OTHER


def source_of(path: str) -> str | None:
    """Return the source that a file was compiled from, by its name; None if it was not."""
    match = _COMPILED.match(path)
    if match is None:
        return None
    return f"{match[1]}/{match[2]}.py" if match[1] else f"{match[2]}.py"


def grouped(entries: Sequence[Entry], owned: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the rows of all files that have contents, by the pack that they belong to."""
    found: dict[str, list[int]] = {}
    for row, entry in enumerate(entries):
        if entry.kind is Kind.FILE and entry.stored:
            found.setdefault(title_of(entry.path, owned), []).append(row)
    return dict(sorted(found.items()))


def _last_two(path: str) -> str:
    return "/".join(path.split("/")[-2:])
