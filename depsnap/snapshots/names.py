"""What the objects of snapshots are called in a store. Pure.

Packs and trees are named by their digests and never change. A head is
`snapshots/NAME/KEY/GENERATION`: the first who stores a generation wins. A later generation is a
refreshed snapshot, or one in place of another that cannot be read.
"""

import re
from typing import Final

from bootseer.errors import UsageError

HEADS: Final = "snapshots"
PACKS: Final = "packs"
TREES: Final = "trees"
LEASES: Final = "leases"
USED: Final = "used"
"""On which days snapshots were restored, that were not made on that day."""
HOT: Final = "hot"
"""What starts on mounted snapshots read first."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_USED: Final = re.compile(rf"{USED}/([^/]+)/([0-9a-f]{{64}})/([0-9]{{6}})/[0-9]{{8}}")
_HEAD: Final = re.compile(rf"{HEADS}/([^/]+)/([0-9a-f]{{64}})/([0-9]{{6}})")


def check_job(name: str) -> str:
    """Return a job's name. UsageError if it is none: letters, digits, `.`, `_`, `-`."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name[:120]!a} is no name of a job",
            hint="up to 100 letters, digits, '.', '_', '-', the first of them no '.'",
        )
    return name


def check_key(key: str) -> str:
    """Return a key. UsageError if it is none: 64 hexadecimal digits."""
    if _KEY.fullmatch(key) is None:
        raise UsageError(f"{key[:80]!a} is no key of a snapshot")
    return key


def pack_name(digest: str) -> str:
    """Return the object with a pack."""
    return f"{PACKS}/{digest[:2]}/{digest}"


def tree_name(digest: str) -> str:
    """Return the object with a tree."""
    return f"{TREES}/{digest}"


def job_folder(name: str) -> str:
    """Return the prefix of all snapshots of a job."""
    return f"{HEADS}/{check_job(name)}"


def key_folder(name: str, key: str) -> str:
    """Return the prefix of all generations of a snapshot."""
    return f"{job_folder(name)}/{key}"


def head_name(name: str, key: str, generation: int) -> str:
    """Return the object with the head of a generation, which counts from 1."""
    return f"{key_folder(name, key)}/{generation:06d}"


def used_name(name: str, key: str, generation: int, day: str) -> str:
    """Return the object that says that a generation was used on a day, `20260131`."""
    return f"{USED}/{check_job(name)}/{key}/{generation:06d}/{day}"


def parse_used_name(text: str) -> tuple[str, str, int] | None:
    """Return (job, key, generation) of a `used_name`; None if it is none."""
    match = _USED.fullmatch(text)
    return (match[1], match[2], int(match[3])) if match else None


def parse_head_name(text: str) -> tuple[str, str, int] | None:
    """Return (job, key, generation) of a head's object; None if it is of none."""
    match = _HEAD.fullmatch(text)
    return (match[1], match[2], int(match[3])) if match else None
