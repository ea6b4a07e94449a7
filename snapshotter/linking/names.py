"""Where the shared libraries of a layer lie in its data area, by the names that they go by. Pure.

The loader looks a library up by a name without directories, in the directories that it is told; in
a layer such a name is one library, nearly always, and a symbolic link to it lies beside it. Where
that is wrong, something is fetched in vain, and that is all.
"""

import json
from collections.abc import Mapping
from typing import Final

import numpy as np

from snapshotter.layers.records import Tree

_MARK: Final = b".so"
_REGULAR, _LINK = 8, 10
"""File types as `st_mode >> 12`."""


def library_places(tree: Tree) -> dict[str, int]:
    """Return where the libraries of a layer begin in its data area, by all of their names."""
    inodes = tree.inodes
    kinds, ends = inodes.mode >> 12, tree.name_end
    target_ends = np.cumsum(np.where(kinds == _LINK, inodes.size, 0))
    starts = np.concatenate(([0], ends[:-1]))
    found: dict[str, int] = {}
    links: dict[str, str] = {}
    for row in np.flatnonzero(np.isin(kinds[tree.child], (_REGULAR, _LINK))).tolist():
        name = tree.names[int(starts[row]) : int(ends[row])]
        if _MARK not in name:
            continue
        child = int(tree.child[row])
        if kinds[child] == _LINK:
            end = int(target_ends[child])
            target = tree.targets[end - int(inodes.size[child]) : end]
            links.setdefault(_text(name), _text(target.rpartition(b"/")[2]))
        elif inodes.size[child]:
            found.setdefault(_text(name), int(inodes.data[child]))
    for link in links:
        if link not in found and (place := _followed(link, links, found)) is not None:
            found[link] = place
    return found


def _followed(name: str, links: Mapping[str, str], found: Mapping[str, int]) -> int | None:
    """Return what a chain of links ends at."""
    for _ in range(8):
        name = links.get(name, name)
        if name in found:
            return found[name]
    return None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def encode_places(places: Mapping[str, int]) -> bytes:
    """Return the places as JSON."""
    return json.dumps(places).encode()


def decode_places(data: bytes) -> dict[str, int]:
    """Parse what `encode_places` wrote; ValueError if it is something else."""
    places = json.loads(data)
    if not isinstance(places, dict):
        raise ValueError("no table of libraries")  # noqa: TRY004
    return {str(name): int(place) for name, place in places.items()}
