"""A snapshot into place: unpacked beside its roots, then swapped in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import HostError, UsageError
from depsnap.pool import ignore
from depsnap.restore.cache import TreeCache
from depsnap.restore.making import Destination
from depsnap.restore.owners import owned_here, restorer
from depsnap.restore.unpack import unpack
from depsnap.snapshots.head import Head
from depsnap.snapshots.places import Place
from depsnap.swap.swap import swap
from depsnap.swap.workplace import Workplace, filling
from depsnap.tree.entries import Tree, lie_in


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done."""

    steps: int
    unprivileged: int
    """Entries that lost set-ID bits or capabilities, because root did not restore them."""
    linked: bool
    """Whether it came from what this node has kept."""


@dataclass(frozen=True, slots=True)
class From:
    """Where a snapshot comes from."""

    place: Place
    digest: str
    """Of its head, which pins everything in it."""
    cache: TreeCache | None = None


def restore(
    head: Head,
    tree: Tree,
    source: From,
    workers: int,
    more: Callable[[int], None] = ignore,
) -> Restored:
    """Restore a snapshot. All of it, or nothing. `more` hears of bytes on the way.

    Raises:
        BootseerError: why it is not restored; everything is as it was.
    """
    roots = [Path(root) for root in head.roots]
    who = restorer()
    entries, unprivileged = owned_here(tree.entries, head.users, head.groups, who)
    # Directories above the roots are in the tree, but not what is to be made.
    inside = _without_above(Tree(entries, tree.packs), [str(root).strip("/") for root in roots])
    with filling(roots) as work:
        to = Destination(work.places(), who.uid, who.gid)
        linked = source.cache is not None and source.cache.restore(
            source.digest, inside, to, workers, more
        )
        if not linked:
            work.remove()  # what may be half there
            work.make()
            unpack(inside, source.place, to, workers, more=more)
            if source.cache is not None:
                source.cache.keep(source.digest, inside, to)
    return Restored(swap(work, inside.entries), unprivileged, linked)


def lay_out(head: Head, tree: Tree, place: Place, work: Workplace, workers: int) -> None:
    """Unpack a snapshot into a workplace that is made already, and leave it there.

    Raises:
        BootseerError: why that did not work.
    """
    who = restorer()
    entries, _ = owned_here(tree.entries, head.users, head.groups, who)
    inside = _without_above(Tree(entries, tree.packs), [root.strip("/") for root in head.roots])
    try:
        unpack(inside, place, Destination(work.places(), who.uid, who.gid), workers)
    except OSError as error:
        raise HostError(f"{error.filename or head.roots[0]}: {error.strerror}") from error


def _without_above(tree: Tree, roots: list[str]) -> Tree:
    entries = lie_in(tree.entries, roots)
    if not entries:
        raise UsageError("the snapshot is empty")
    return Tree(entries, tree.packs)
