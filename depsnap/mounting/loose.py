"""What of a snapshot no mount covers: unpacked beside its roots and swapped in, as all of it is
where nothing is mounted."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from depsnap.restore.making import Destination
from depsnap.restore.owners import owned_here, owners_here, restorer
from depsnap.restore.unpack import unpack
from depsnap.snapshots.head import Head
from depsnap.snapshots.places import Place
from depsnap.swap.swap import swap
from depsnap.swap.workplace import filling
from depsnap.tree.entries import Entry, Tree, lies_in, prefixes


def restore_loose(
    head: Head, tree: Tree, points: Sequence[str], place: Place, workers: int
) -> None:
    """Restore what lies outside of the directories that are covered. All of it, or nothing.

    Raises:
        BootseerError: why it is not restored; everything is as it was.
    """
    roots = [Path(root) for root in head.roots if root.strip("/") not in points]
    who = restorer()
    entries, _ = owned_here(tree.entries, owners_here(head.users, head.groups, who))
    whole = Tree(entries, tree.packs)
    inside = [str(root).strip("/") for root in roots]
    covered = prefixes(points)
    chosen = [entry for entry in entries if _is_wanted(entry, inside, covered)]
    with filling(roots) as work:
        to = Destination(work.places(), who.uid, who.gid)
        wanted = {entry.path for entry in chosen}
        unpack(whole, place, to, workers, partial(_is_in, wanted))
    swap(work, chosen)


def _is_wanted(entry: Entry, inside: Sequence[str], covered: tuple[str, ...]) -> bool:
    """Say whether something is done for an entry, or for one that is in it."""
    apart = not f"{entry.path}/".startswith(covered)
    return apart and any(lies_in(entry.path, root) for root in inside)


def _is_in(wanted: set[str], entry: Entry) -> bool:
    return entry.path in wanted
