"""What the image of a snapshot is called on every node, and where its hot blocks are. Pure."""

from typing import Final

from bootseer.digests import digest_of
from depsnap.snapshots.head import Head
from depsnap.snapshots.names import HOT

_VERSION: Final = "bootseer dependency image 1"
"""Part of the name: another way to lay an image out numbers its blocks otherwise."""


def image_digest(head: Head) -> str:
    """Return the digest of a snapshot's image, `sha256:...`: of what it is made of, and how."""
    words = "\0".join((_VERSION, *head.roots, head.tree))
    return digest_of(words.encode("utf-8", "surrogatepass"))


def hot_folder(digest: str) -> str:
    """Return the prefix of all objects with hot blocks of an image."""
    return f"{HOT}/{digest.removeprefix('sha256:')}"
