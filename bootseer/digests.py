"""Content digests (OCI image specification, "Digests"): checked before they touch a path or URL.

Only SHA-256 is spoken: it is what every registry and builder in use produces.
"""

import hashlib
import re
from pathlib import Path
from typing import Final

from bootseer.errors import CorruptError

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z", re.ASCII)


def is_digest(text: str) -> bool:
    """Say whether `text` is a well-formed `sha256:...` digest."""
    return _DIGEST.match(text) is not None


def check_digest(text: str) -> str:
    """Return `text` if it is a well-formed digest.

    Raises:
        CorruptError: it is not, or names another algorithm.
    """
    if is_digest(text):
        return text
    shown = ascii(text[:100])
    raise CorruptError(f"digest {shown} is not sha256:<64 lower-case hexadecimal digits>")


def digest_of(data: bytes | memoryview) -> str:
    """Return the digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's bytes, without holding them all."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def verify(data: bytes, expected: str, what: str) -> None:
    """Check that `data` has the digest `expected`; `what` names it in the error.

    Raises:
        CorruptError: it has not.
    """
    found = digest_of(data)
    if found != expected:
        raise CorruptError(f"{what}: the bytes have digest {found}, not {expected}")
