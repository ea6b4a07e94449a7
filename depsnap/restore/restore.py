"""A snapshot into place: unpacked beside its roots, then swapped in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import HostError, UsageError
from depsnap.pool import ignore
from depsnap.restore.cache import About, TreeCache
from depsnap.restore.libraries import concern_linker
from depsnap.restore.making import Destination
from depsnap.restore.owners import owned_here, owners_here, restorer
from depsnap.snapshots.head import Head
from depsnap.snapshots.places import Place
from depsnap.swap.swap import swap
from depsnap.swap.workplace import Workplace, filling
from depsnap.tree.entries import Tree, lie_in


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done."""

    steps: int
    about: About
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
    tree: Callable[[], Tree],
    source: From,
    workers: int,
    more: Callable[[int], None] = ignore,
) -> Restored:
    """Restore a snapshot. All of it, or nothing. `more` hears of bytes on the way.

    `tree` is called only where the node has not kept the snapshot.

    Raises:
        BootseerError: why it is not restored; everything is as it was.
    """
    roots = [Path(root) for root in head.roots]
    who = restorer()
    owners = owners_here(head.users, head.groups, who)
    with filling(roots) as work:
        to = Destination(work.places(), who.uid, who.gid)
        kept = None
        if source.cache is not None and source.cache.has(source.digest):
            kept = source.cache.restore(source.digest, owners, to, workers, more)
            if kept is None:
                work.remove()  # what may be half there
                work.make()
        if kept is None:
            whole = tree()
            entries, unprivileged = owned_here(whole.entries, owners)
            # Directories above the roots are in the tree, but not what is to be made.
            tops = [str(root).strip("/") for root in roots]
            inside = _without_above(Tree(entries, whole.packs), tops)
            about = About(unprivileged, concern_linker(entries))
            _unpack(inside, source.place, to, workers, more=more)
            if source.cache is not None:
                source.cache.keep(source.digest, inside, owners, about, to, workers)
    if kept is not None:
        return Restored(swap(work, kept.entries), kept.about, linked=True)
    return Restored(swap(work, inside.entries), about, linked=False)


def lay_out(head: Head, tree: Tree, place: Place, work: Workplace, workers: int) -> None:
    """Unpack a snapshot into a workplace that is made already, and leave it there.

    Raises:
        BootseerError: why that did not work.
    """
    who = restorer()
    entries, _ = owned_here(tree.entries, owners_here(head.users, head.groups, who))
    inside = _without_above(Tree(entries, tree.packs), [root.strip("/") for root in head.roots])
    try:
        _unpack(inside, place, Destination(work.places(), who.uid, who.gid), workers)
    except OSError as error:
        raise HostError(f"{error.filename or head.roots[0]}: {error.strerror}") from error


def _unpack(
    tree: Tree, place: Place, to: Destination, workers: int, more: Callable[[int], None] = ignore
) -> None:
    from depsnap.restore.unpack import unpack  # noqa: PLC0415 (what was kept needs no zstd)

    unpack(tree, place, to, workers, more=more)


def _without_above(tree: Tree, roots: list[str]) -> Tree:
    entries = lie_in(tree.entries, roots)
    if not entries:
        raise UsageError("the snapshot is empty")
    return Tree(entries, tree.packs)
