"""Whether what a step made of an earlier snapshot is what it would have made of nothing. Pure.

pip leaves behind what nobody asks for any more. So two things are proved: that exactly those
distributions are there that pip would install where none is, by its own word; and that everything
which came from the earlier snapshot belongs to one of them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from depsnap.packing.groups import source_of
from depsnap.tree.entries import DIRECTORIES, Kind, parent

Distribution: TypeAlias = tuple[str, str]
"""Name and version, as they are compared."""

_INFO: Final = re.compile(r"([^/]+)-([^-/]+)\.dist-info/METADATA$")
_SHOWN: Final = 3


def distribution(name: str, version: str) -> Distribution:
    """Return a distribution, however its name is written."""
    return re.sub(r"[-_.]+", "-", name).lower(), version.lower().replace("-", "_")


def distributions(changes: Iterable[tuple[str, Kind]]) -> set[Distribution]:
    """Return what is installed by changes."""
    names = (_INFO.search(path) for path, kind in changes if kind is not Kind.DELETED)
    return {distribution(match[1], match[2]) for match in names if match}


def difference(found: set[Distribution], wanted: set[Distribution]) -> str:
    """Return in words how what is installed differs from what should be; empty if it does not."""
    more, less = sorted(found - wanted), sorted(wanted - found)
    said = [f"{name} {version} would not be there" for name, version in more]
    said += [f"{name} {version} is missing" for name, version in less]
    return ", ".join(said[:_SHOWN])


def orphans(
    changes: Iterable[tuple[str, Kind]],
    earlier: Mapping[str, Kind],
    owned: Mapping[str, str],
    unchanged: Callable[[str], bool],
) -> list[str]:
    """Return the paths from an earlier snapshot that belong to nothing which is installed.

    `earlier` has the kinds of its entries by path, `owned` the distribution of each path that one
    names in its `RECORD`; `unchanged` says whether a file is the very one of that snapshot.
    """
    changes = list(changes)
    files = [path for path, kind in changes if kind not in DIRECTORIES]
    found = [
        path
        for path in files
        if path in earlier and path not in owned and not _compiled_from(path, owned, unchanged)
    ]
    filled = set()
    for path in files:
        above = parent(path)
        while above and above not in filled:
            filled.add(above)
            above = parent(above)
    found += [
        path
        for path, kind in changes
        if kind is Kind.NEW and earlier.get(path) is Kind.NEW and path not in filled
    ]
    return found


def _compiled_from(path: str, owned: Mapping[str, str], unchanged: Callable[[str], bool]) -> bool:
    """Say whether this was compiled from a source that is installed, and is what it was then."""
    source = source_of(path)
    return source is not None and source in owned and unchanged(source)
