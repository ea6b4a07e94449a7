"""Which directory a path means inside a layer, symlinks of the same layer followed.

This is containerd's answer, not POSIX': links are replaced textually, paths are cleaned lexically
in between ("a/../b" is "b" whatever a is), ".." stops at the root, and whatever does not exist
counts as a directory to be. Layers rely on it, odd as it is.
"""

from collections import deque
from typing import Final

from bootseer.errors import CorruptError
from snapshotter.layers.tar.nodes import ROOT, Nodes
from snapshotter.limits import Limits

_MAX_LINKS: Final = 255
"""Links followed for one path."""
_MAX_KERNEL_LINKS: Final = 40
"""Links that Linux itself follows in one look-up."""
_SPECIAL: Final = frozenset((b"", b".", b".."))


def clean(path: bytes) -> bytes:
    """Return the shortest path that is lexically the same; "." for nothing.

    ".." takes away the name before it, at the root nothing, and stays in front of a relative path.
    """
    rooted = path.startswith(b"/")
    kept: list[bytes] = []
    for name in path.split(b"/"):
        if name == b"..":
            if kept and kept[-1] != b"..":
                kept.pop()
            elif not rooted:
                kept.append(name)
        elif name not in _SPECIAL:
            kept.append(name)
    return b"/" * rooted + b"/".join(kept) or b"."


def names_from_root(path: bytes) -> list[bytes]:
    """Return the names of a path as seen from the root of the layer, ".." clamped."""
    rest = clean(b"/" + path)[1:]
    return rest.split(b"/") if rest else []


class Resolver:
    """Follows paths through the nodes. The work for one layer is bounded."""

    def __init__(self, nodes: Nodes, limits: Limits) -> None:
        self._nodes = nodes
        self._limits = limits
        self._steps = 0

    def resolve(self, path: bytes) -> list[bytes]:
        """Return the names from the root to what the path means; they hold no symlink.

        Raises `CorruptError` where a file stands in the way, or too many links.
        """
        plain = self._plain(path)
        if plain is not None:
            return plain
        followed = 0
        while True:
            new, links = self._replace_links(path, followed)
            if links == followed:
                rooted = clean(b"/" + new)
                if rooted == new:
                    return names_from_root(new)
                new = rooted
            path, followed = new, links

    def _plain(self, path: bytes) -> list[bytes] | None:
        """Resolve a path without ".." or symlinks, as nearly all are; None for the others."""
        names = [name for name in path.split(b"/") if name and name != b"."]
        if b".." in names:
            return None
        self._spend(len(names))
        node: int | None = ROOT
        for name in names:
            if node is None:
                break
            node = self._child(node, name)
            if node in self._nodes.targets:
                return None
        return names

    def _replace_links(self, path: bytes, followed: int) -> tuple[bytes, int]:
        """Go along the path once and put a link's text in its place wherever one is met."""
        now = b"/" if path.startswith(b"/") else b""
        here: int | None = ROOT  # the node at `now`, None where nothing is
        known = True  # or else: look it up from the root
        for name in path.split(b"/"):
            if not name:
                continue
            if known and name not in _SPECIAL:
                rooted = now.rstrip(b"/") + b"/" + name
                self._spend(1)
                here = None if here is None else self._child(here, name)
            else:
                rooted = clean(b"/" + now + b"/" + name)
                here, known = self._look_up(rooted), True
            if followed > _MAX_LINKS or len(rooted) > self._limits.path:
                raise CorruptError(f"too long, or too many symlinks: a layer's path {path[:200]!r}")
            target = self._nodes.targets.get(here) if here is not None else None
            if target is None:
                now = rooted
                continue
            followed += 1
            now = target if target.startswith(b"/") or not now else clean(now + b"/" + target)
            known = False
        return now, followed

    def _look_up(self, path: bytes) -> int | None:
        """Return the node at a clean path as lstat(2) would find it, or None.

        Links on the way are followed as the kernel would. One that leaves the layer's directory
        (an absolute one does) finds nothing: what is out there is not the layer's business.
        """
        trail = [ROOT]
        pending = deque(names_from_root(path))
        self._spend(len(pending))
        links = 0
        while pending:
            name = pending.popleft()
            child = self._child(trail[-1], name)
            if name == b"..":
                trail.pop()
                if not trail:
                    return None
                continue
            if child is None:
                return None
            target = self._nodes.targets.get(child)
            if target is None or not pending:
                trail.append(child)
                continue
            links += 1
            if links > _MAX_KERNEL_LINKS:
                raise CorruptError(f"a loop of symlinks in a layer at {path[:200]!r}")
            if target.startswith(b"/"):
                return None
            steps = [step for step in target.split(b"/") if step and step != b"."]
            self._spend(len(steps))
            pending.extendleft(reversed(steps))
        return trail[-1]

    def _child(self, node: int, name: bytes) -> int | None:
        directory = self._nodes.directories.get(node)
        if directory is None:
            raise CorruptError(
                f"a layer has an entry {name[:200]!r} below something not a directory"
            )
        if len(name) > self._limits.name:
            raise CorruptError(f"a name of {len(name)} bytes in a layer")
        return directory.children.get(name)

    def _spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > self._limits.path_steps:
            raise CorruptError("a layer whose paths take too long to resolve")
