"""Everything below some directories, by path: for a comparison before and after."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from depsnap.capture.facts import Facts, facts_of
from depsnap.capture.left_out import LeftOut

Listing = Mapping[str, Facts]
"""Facts by path, without the slash in front."""


def list_roots(
    roots: Iterable[Path], left_out: LeftOut, most: int | None = None
) -> dict[str, Facts]:
    """Return what is in the roots, each root included, but for what is never captured.

    Other file systems below are not entered. What vanishes meanwhile is passed over. After `most`
    names listing ends.
    """
    found: dict[str, Facts] = {}
    for root in roots:
        try:
            status = root.lstat()
        except FileNotFoundError:
            continue
        name = str(root).strip("/")
        if name:
            found[name] = facts_of(status)
        _list(root, name, status.st_dev, left_out, found, most)
    return found


def _list(
    root: Path,
    name: str,
    device: int,
    left_out: LeftOut,
    into: dict[str, Facts],
    most: int | None,
) -> None:
    waiting = [(str(root), f"{name}/" if name else "")]
    while waiting and (most is None or len(into) < most):
        directory, prefix = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if left_out.leaves_out(path, entry.name):
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    into[path] = facts = facts_of(status)
                    if facts.is_directory and facts.device == device:
                        waiting.append((entry.path, f"{path}/"))
        except (FileNotFoundError, PermissionError):
            continue
