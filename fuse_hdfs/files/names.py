"""Where a volume keeps what is not a user's file. Pure."""

import errno
from typing import Final

from fuse_hdfs.striping.layout import SegmentId

HIDDEN: Final = ".bootseer"
"""Directory at the root of a volume; the mount does not show it."""
SEGMENTS: Final = f"{HIDDEN}/segments"
UNFINISHED: Final = f"{HIDDEN}/new"


def segment_directory(segment: SegmentId) -> str:
    """Return the directory with a segment's stripes."""
    return f"{SEGMENTS}/{segment[:2]}/{segment}"


def stripe_path(segment: SegmentId, stripe: int) -> str:
    """Return the path of one stripe."""
    return f"{segment_directory(segment)}/{stripe}"


def visible(path: str) -> None:
    """Refuse paths into what is not the user's. OSError with EACCES."""
    if path == HIDDEN or path.startswith(f"{HIDDEN}/"):
        raise OSError(errno.EACCES, "is not part of the mount", path)
