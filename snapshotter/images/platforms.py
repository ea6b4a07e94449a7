"""Which of an image's variants runs here (OCI image specification, "Platform"). Pure."""

import platform
from collections.abc import Sequence
from typing import Final

from bootseer.errors import HostError
from snapshotter.registry.descriptors import Descriptor, Platform

_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_BASE_VARIANT: Final = {"amd64": "v1", "arm64": "v8"}
"""What an image without a variant is built for."""


def this_platform(machine: str | None = None) -> Platform:
    """Return the platform of this machine, or of the `machine` that uname names so.

    Raises:
        HostError: Bootseer does not run there.
    """
    machine = machine or platform.machine()
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None:
        raise HostError(f"no images are chosen for {machine}", hint="name one with --platform")
    return Platform("linux", architecture)


def choose(entries: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """Return the entry of an image index that fits best; None if none does.

    A variant that was not asked for is never chosen over the base one, for the machine may lack
    it; of equals, the first wins. Entries without a platform fit, but worst: an image for one
    platform only need not say which.
    """
    best: tuple[int, Descriptor] | None = None
    for entry in entries:
        rank = _rank(entry.platform, wanted)
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, entry)
    return best[1] if best else None


def _rank(offered: Platform | None, wanted: Platform) -> int | None:
    """Return how well a platform fits, 0 best; None if it does not."""
    if offered is None:
        return 2
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return None
    base = _BASE_VARIANT.get(wanted.architecture, "")
    if (offered.variant or base) == (wanted.variant or base):
        return 0
    # A machine of a later variant runs the base one.
    return 1 if (offered.variant or base) == base else None
