"""From a chain of trees to the mounts that containerd makes of them. Pure.

References: overlayfs (Linux `Documentation/filesystems/overlayfs.rst`), mount(2).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bootseer.errors import HostError
from snapshotter.snapshots.records import Mount

_SPECIAL: Final = frozenset(":,\\\n")
"""What overlayfs or an option string takes as punctuation."""


def writable(
    upper: Path, work: Path, lowers: Sequence[Path], overlay_options: Sequence[str]
) -> list[Mount]:
    """Mounts of an active snapshot; `lowers` from the top down."""
    if not lowers:
        return [_bind(upper, "rw")]
    writes = (f"workdir={plain(work)}", f"upperdir={plain(upper)}")
    return [_overlay((*writes, _lowerdir(lowers), *overlay_options))]


def readonly(own: Path, lowers: Sequence[Path], overlay_options: Sequence[str]) -> list[Mount]:
    """Mounts of a view; `lowers` from the top down, `own` is its empty directory."""
    if not lowers:
        return [_bind(own, "ro")]
    # Overlayfs without an upper directory wants two lower ones at least.
    if len(distinct(lowers)) == 1:
        return [readonly_bind(lowers[0])]
    return [_overlay((_lowerdir(lowers), *overlay_options))]


def readonly_bind(tree: Path) -> Mount:
    """Mount of a tree as it is. containerd takes a layer so mounted as unpacked."""
    return _bind(tree, "ro")


def distinct(lowers: Sequence[Path]) -> list[Path]:
    """Drop a tree that is also further up in the chain.

    An image may hold the same layer twice, and overlayfs refuses the same directory twice
    (ELOOP). What lies below an identical tree has no say: every name in it, whiteouts and opaque
    directories included, is decided by the upper one.
    """
    return list(dict.fromkeys(lowers))


def plain(path: Path) -> str:
    """Return the path if it can stand in an option string, otherwise raise HostError."""
    text = str(path)
    if _SPECIAL.intersection(text):
        raise HostError(
            f"directory {text!r} has a character that overlayfs options cannot carry",
            hint="choose a root directory without colon, comma and backslash",
        )
    return text


def _lowerdir(lowers: Sequence[Path]) -> str:
    return "lowerdir=" + ":".join(plain(path) for path in distinct(lowers))


def _overlay(options: tuple[str, ...]) -> Mount:
    return Mount("overlay", "overlay", options)


def _bind(source: Path, access: str) -> Mount:
    return Mount("bind", str(source), (access, "rbind"))
