"""What the writer must be told besides the tree."""

import hashlib
from dataclasses import dataclass
from typing import Final

TRUSTED_OPAQUE: Final = b"trusted.overlay.opaque"
"""What overlayfs reads by default."""
USER_OPAQUE: Final = b"user.overlay.opaque"
"""What overlayfs reads when mounted with `userxattr`."""


def uuid_of(digest: str) -> bytes:
    """Return a UUID (version 8, RFC 9562) that is always the same for a digest."""
    value = bytearray(hashlib.sha256(digest.encode()).digest()[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return bytes(value)


@dataclass(frozen=True, slots=True)
class Options:
    """How to write the metadata of a layer."""

    uuid: bytes
    """16 bytes, the file system's UUID: `uuid_of(index digest)` makes builds reproducible."""
    bottom: bool = False
    """This is the image's first layer: whiteouts and opaque marks are left out of it."""
    opaque_xattrs: tuple[bytes, ...] = (TRUSTED_OPAQUE,)
    """Names of the attribute (value `y`) that an opaque directory gets."""
