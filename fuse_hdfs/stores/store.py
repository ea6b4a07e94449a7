"""What a place for files does, whichever it is."""

from collections.abc import AsyncIterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from fuse_hdfs.stores.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Status:
    """A file or directory, as the place has it."""

    name: str
    """Last word of its path; empty for the root."""
    directory: bool
    size: int
    """Bytes; 0 for a directory."""
    mode: int
    """Permission bits."""
    uid: int
    gid: int
    modified_ns: int
    identity: str
    """Differs whenever the contents may differ: of two files, and of one file before and after."""
    label: int = 0
    """What `Store.set_label` left there; 0 if nothing."""


@dataclass(frozen=True, slots=True)
class Space:
    """How much a place holds. Bytes."""

    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive bytes of a file that lie together."""

    offset: int
    length: int
    places: tuple[str, ...]
    """Machines with a copy, each as in `Store.places`."""


class Stream(Protocol):
    """The bytes of a file from somewhere on."""

    @property
    def place(self) -> str | None:
        """Where they come from, as in `Store.places`; None where that means nothing."""
        ...

    async def read(self, length: int) -> bytes:
        """Return the next bytes; fewer only where the file ends."""
        ...


USER: Final = "user."
"""How the names of extended attributes begin that every place keeps."""


class Store(Protocol):
    """Files in directories, by path: words separated by slashes, empty for the root.

    Files are written whole and never change after that, so that a place needs neither to append
    nor to overwrite. All methods raise `OSError` with an errno that says what is wrong, as the
    system calls of the same names do; ETIMEDOUT and EIO where the place does not answer or fails.
    None waits for ever. Any number of calls may be under way; cancelling one leaves nothing
    behind but, of a `write`, a part of a file.
    """

    @property
    def traffic(self) -> Traffic:
        """What each machine was sent and sent, as far as the place knows machines."""
        ...

    async def stat(self, path: str) -> Status:
        """Return what is at a path."""
        ...

    async def list(self, path: str) -> list[Status]:
        """Return what a directory holds, in any order."""
        ...

    async def read(
        self,
        path: str,
        offset: int,
        length: int,
        *,
        of: Status | None = None,
        place: str | None = None,
    ) -> bytes:
        """Return bytes of a file; fewer only where it ends.

        `of`: of this very file, which `path` led to; ESTALE if it is gone or another is there.
        `place` is where to read them from, one of a block's, and a wish.
        """
        ...

    def stream(
        self, path: str, offset: int, *, place: str | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        """Read a file from `offset` on, as far as the stream is asked; `place` as in `read`.

        What is not asked for is sent ahead a little and no more. One `read` at a time.
        """
        ...

    async def write(
        self,
        path: str,
        content: AsyncIterable[bytes] | bytes,
        *,
        mode: int = 0o644,
        parents: bool = True,
        place: str | None = None,
    ) -> None:
        """Write a new file, which survives a crash once this returns; EEXIST if there is one.

        What is given whole can be sent again where the place cannot be reached for a while.
        `parents`: directories above it are made; without that ENOENT if they are not there.
        `place` is one of `places()`, and a wish.
        """
        ...

    async def places(self) -> tuple[str, ...]:
        """Return the machines a file can be put on; none where there is no choice.

        Those come first of which it is most likely that they are up.
        """
        ...

    async def blocks(self, path: str) -> tuple[Block, ...]:
        """Return where the bytes of a file are, in order; none where the place does not say."""
        ...

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Move a file or directory in one step; EEXIST if `new` exists and is not to be replaced.

        What is replaced is a file, or an empty directory by a directory.
        """
        ...

    async def put_in_place(self, hidden: str, path: str, made: Status | None) -> Status:
        """Move a file that we made over what may be at a path, in one step; return what is there.

        `made`: what it is, if nothing was changed of it since that was asked.
        """
        ...

    async def concat(self, path: str, others: Sequence[str]) -> None:
        """Append other files of a directory to one of them in one step, without moving a byte.

        They are gone then. ENOTSUP if not `can_concat`.
        """
        ...

    async def can_concat(self) -> bool:
        """Say whether the place can join files."""
        ...

    async def make_directory(self, path: str, mode: int) -> None:
        """Make a directory; EEXIST, ENOENT as mkdir(2)."""
        ...

    async def make_directories(self, path: str) -> None:
        """Make a directory and those above it, where they are not there."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    async def remove_directory(self, path: str) -> None:
        """Remove a directory; ENOTEMPTY unless it is empty."""
        ...

    async def remove_tree(self, path: str) -> None:
        """Remove a directory and all that is in it, if it is there."""
        ...

    async def set_mode(self, path: str, mode: int) -> None:
        """Set permission bits."""
        ...

    async def set_owner(self, path: str, uid: int | None, gid: int | None) -> None:
        """Set owner and group; None leaves one as it is."""
        ...

    async def give(self, path: str, uid: int, gid: int) -> None:
        """Let what we just made belong to its maker, as far as the place has such users."""
        ...

    async def set_modified(self, path: str, modified_ns: int) -> None:
        """Set the time of modification, as exactly as the place can."""
        ...

    async def set_label(self, path: str, label: int) -> None:
        """Keep a number above 0 with a file, as far as the place can: a hint, which may get lost.

        It does not change the file's identity.
        """
        ...

    async def xattrs(self, path: str) -> dict[str, bytes]:
        """Return all extended attributes `user.*`."""
        ...

    async def set_xattr(self, path: str, name: str, value: bytes) -> None:
        """Set an extended attribute `user.*`, whether or not there is one; ENOTSUP for others."""
        ...

    async def remove_xattr(self, path: str, name: str) -> None:
        """Remove an extended attribute; ENODATA if there is none."""
        ...

    async def space(self) -> Space:
        """Return how much there is and how much is free."""
        ...
