"""What differs between two listings. Pure."""

from collections.abc import Mapping

from depsnap.capture.facts import Facts
from depsnap.tree.entries import Kind, parent, sort_key


def difference(before: Mapping[str, Facts], after: Mapping[str, Facts]) -> list[tuple[str, Kind]]:
    """Return each path that was made, changed or deleted, parents before children.

    For what is there and is no directory the kind is `FILE`, whatever it is. Directories that lead
    to a change are `KEPT`; what was in a deleted directory is not named.
    """
    changed: dict[str, Kind] = {}
    for path, now in after.items():
        was = before.get(path)
        if now.is_directory:
            if was is None or not was.is_directory:
                changed[path] = Kind.NEW
            elif (was.mode, was.uid, was.gid) != (now.mode, now.uid, now.gid):
                changed[path] = Kind.CHANGED
        elif was is None or _another(was, now):
            changed[path] = Kind.FILE
    for path in before:
        if path not in after and _stays(parent(path), before, after):
            changed[path] = Kind.DELETED
    return with_parents(changed)


def with_parents(changes: Mapping[str, Kind]) -> list[tuple[str, Kind]]:
    """Return changes, sorted, with the directories that lead to them."""
    found = dict(changes)
    for path in changes:
        above = parent(path)
        while above and above not in found:
            found[above] = Kind.KEPT
            above = parent(above)
    return sorted(found.items(), key=lambda one: sort_key(one[0]))


def _stays(above: str, before: Mapping[str, Facts], after: Mapping[str, Facts]) -> bool:
    """Say whether the directory that something was in is still one: else it went with that."""
    if above not in before:
        return True  # a root's own, which is not listed
    return above in after and after[above].is_directory


def _another(was: Facts, now: Facts) -> bool:
    """Say whether it is another file, or was written to, or got other attributes.

    A link more or less changes the time of the last change, but not the file.
    """
    if was.links != now.links:
        return was._replace(ctime_ns=0, links=0) != now._replace(ctime_ns=0, links=0)
    return was != now
