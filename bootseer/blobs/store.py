"""What a place for objects does. Objects are written once, whole, and never change."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bootseer.errors import UsageError

PIECE: Final = 1 << 20
"""Bytes of an object that are in memory at once while it is read or written."""

_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,200}(?:/(?!\.)[A-Za-z0-9._-]{1,200}){0,15}")


def check_name(name: str) -> str:
    """Return a name that every place can hold: up to 16 words of letters, digits, `.`, `_`, `-`.

    Words are separated by slashes; none begins with a dot.

    Raises:
        UsageError: it is none.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{name[:300]!a} is no name of an object")
    return name


def below(prefix: str) -> str:
    """Return what the names of the objects below a prefix begin with; empty: all objects."""
    return f"{check_name(prefix)}/" if prefix else ""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """An object, as a list shows it."""

    name: str
    size: int
    """Bytes."""
    modified: float
    """When it was stored, in seconds since 1970, by the place's clock."""


class BlobStore(Protocol):
    """A place for objects. Names are those of `check_name`.

    No method waits for ever. All raise `RemoteError` (`HostError`, for a local directory) where
    the place fails or refuses, and `UsageError` for a name that is none. After a cancelled call an
    object is there whole or not at all.
    """

    async def put(self, name: str, content: bytes | Path) -> bool:
        """Store bytes, or a file, under a name; say whether that was done.

        It is not done where there is an object of that name already, whatever it holds: of several
        that put at once, one wins. Nobody ever sees a part of an object, and what was stored is
        still there after a power failure, as far as the place promises that.
        """
        ...

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`.

        Raises:
            NotFoundError: there is no such object.
            CorruptError: it ends before that.
        """
        ...

    def stream(self, name: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """Yield an object from `offset` to its end, in pieces of at most `PIECE` bytes.

        Raises:
            NotFoundError: there is no such object.
        """
        ...

    async def size(self, name: str) -> int | None:
        """Return the bytes of an object; None if there is none of that name."""
        ...

    async def list(self, prefix: str, most: int) -> list[BlobInfo]:
        """Return the objects whose name begins with `prefix` and a slash, by name.

        An empty prefix stands for all objects.

        Raises:
            CorruptError: there are more than `most`.
        """
        ...

    async def delete(self, name: str) -> bool:
        """Remove an object; say whether there was one."""
        ...
