"""The ways in which a job is started, and how they differ. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Image(StrEnum):
    """How the image comes."""

    FULL = "full"
    """Pulled and unpacked by containerd's overlayfs."""
    LAZY = "lazy"
    """By Bootseer, without any record of hot blocks."""
    HOT = "hot"
    """By Bootseer, hot blocks from a pack."""


class Packages(StrEnum):
    """How the packages come that the image has not got."""

    PIP = "pip"
    """Installed from an index on the same link."""
    SNAPSHOT = "snapshot"
    """A dependency snapshot, mounted by the node's daemon."""


class Checkpoint(StrEnum):
    """How the checkpoint lies in HDFS. It is read through the same mount in either case."""

    PLAIN = "plain"
    """One file of HDFS for each file."""
    STRIPED = "striped"
    """Over all DataNodes."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to start."""

    name: str
    title: str
    image: Image
    packages: Packages
    checkpoint: Checkpoint


_EVERY: Final = (
    Way("a", "full pull, pip, plain file", Image.FULL, Packages.PIP, Checkpoint.PLAIN),
    Way("b", "lazy image, pip, plain file", Image.LAZY, Packages.PIP, Checkpoint.PLAIN),
    Way("c", "all of ours", Image.HOT, Packages.SNAPSHOT, Checkpoint.STRIPED),
    Way("c-image", "ours, full pull", Image.FULL, Packages.SNAPSHOT, Checkpoint.STRIPED),
    Way("c-hot", "ours, no hot blocks", Image.LAZY, Packages.SNAPSHOT, Checkpoint.STRIPED),
    Way("c-deps", "ours, pip", Image.HOT, Packages.PIP, Checkpoint.STRIPED),
    Way("c-ckpt", "ours, plain file", Image.HOT, Packages.SNAPSHOT, Checkpoint.PLAIN),
)
WAYS: Final = {way.name: way for way in _EVERY}
BASELINE: Final = WAYS["a"]
OURS: Final = WAYS["c"]
