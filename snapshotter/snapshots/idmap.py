"""Containers in a user namespace of their own, over layers that stay as they are. Pure.

containerd tells the mapping with labels where the plugin's configuration says `remap-ids`. The
snapshot's own directory then belongs to the host's id of the container's root, and the options of
its mount name the mapping: containerd mounts each layer once more, idmapped, and an overlay over
these. Reference: containerd `core/mount/mount_idmapped_linux.go`, user_namespaces(7).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from bootseer.errors import UsageError
from snapshotter.snapshots.records import Mount, Owner

UIDS: Final = "containerd.io/snapshot/uidmapping"
GIDS: Final = "containerd.io/snapshot/gidmapping"

_LINE: Final = re.compile(r"(\d{1,10}):(\d{1,10}):(\d{1,10})")
_IDS: Final = 1 << 32
_MOST: Final = 340
"""Lines that the kernel takes (user_namespaces(7))."""


def is_mapped(labels: Mapping[str, str]) -> bool:
    """Say whether a snapshot is for a user namespace. UsageError for a mapping that is none."""
    texts = [labels.get(UIDS, ""), labels.get(GIDS, "")]
    if not any(texts):
        return False
    for text in texts:
        _root_of(text)
    return True


def owner(labels: Mapping[str, str], plain: Owner) -> Owner:
    """Return whose the root directory of a snapshot is, which is `plain`'s without a mapping.

    Raises UsageError for a mapping that is none.
    """
    if not is_mapped(labels):
        return plain
    return replace(plain, uid=_root_of(labels[UIDS]), gid=_root_of(labels[GIDS]))


def mapped(mounts: Sequence[Mount], labels: Mapping[str, str]) -> list[Mount]:
    """Return the mounts of a snapshot as containerd is to make them for a user namespace.

    Without a mapping, and where there are no layers below, they are as they were.
    """
    if not is_mapped(labels):
        return list(mounts)
    options = (f"uidmap={labels[UIDS]}", f"gidmap={labels[GIDS]}")
    return [
        replace(mount, options=(*mount.options, *options)) if mount.type == "overlay" else mount
        for mount in mounts
    ]


def _root_of(text: str) -> int:
    """Return the host's id of the container's root in a mapping as containerd writes it.

    That is `container:host:count`, several separated by commas.
    """
    found = [_LINE.fullmatch(line) for line in text.split(",", _MOST)]
    lines = [[int(number) for number in line.groups()] for line in found if line]
    if len(lines) < len(found) or len(lines) > _MOST or not all(map(_fits, lines)):
        raise UsageError(
            f"user namespace: {text[:64]!r} is no mapping of ids",
            hint="both uidmapping and gidmapping are container:host:count",
        )
    for inside, outside, count in lines:
        if inside == 0 and count:
            return outside
    raise UsageError("user namespace: its root is nobody on this host")


def _fits(line: Sequence[int]) -> bool:
    inside, outside, count = line
    return count > 0 and inside + count < _IDS and outside + count < _IDS
