"""What a copy begins and ends at."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class About:
    """A file or directory."""

    directory: bool
    size: int
    """Bytes; 0 for a directory."""
    mode: int
    """Permission bits."""
    modified_ns: int
    identity: str
    """Differs whenever the contents may differ."""

    def like(self, other: "About") -> bool:
        """Say whether `other` looks like a copy: the same size and time, to the millisecond."""
        times = (self.modified_ns // 1_000_000, other.modified_ns // 1_000_000)
        same = (self.directory, self.size) == (other.directory, other.size)
        return same and times[0] == times[1]


class Source(Protocol):
    """A file that is read. What it reads is verified where there is anything to verify it by."""

    @property
    def about(self) -> About:
        """What is read."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes. OSError: also if there are fewer."""
        ...


class Target(Protocol):
    """A file that is written from its beginning to its end; nobody sees it before `finish`."""

    async def begin(self) -> int:
        """Return how many bytes are there already, of a copy of the same file that was cut off."""
        ...

    async def add(self, data: bytes) -> None:
        """Take what follows; all but the last have `PIECE` bytes."""
        ...

    async def finish(self) -> None:
        """Let the file appear, with mode and time of what was copied; it survives a crash then."""
        ...

    async def abandon(self) -> None:
        """Stop; what is written may be gone on with later."""
        ...


class Files(Protocol):
    """Files in directories, by path: words separated by slashes, empty for the root."""

    async def about(self, path: str) -> About | None:
        """Return what is at a path; None if nothing is. OSError as stat(2) otherwise."""
        ...

    async def list(self, path: str) -> dict[str, About]:
        """Return what a directory holds."""
        ...

    async def source(self, path: str) -> Source:
        """Open a file to be read. OSError as open(2)."""
        ...

    def target(self, path: str, like: About) -> Target:
        """Return a file to be written as a copy of `like`. Nothing happens before its `begin`."""
        ...

    async def make_directory(self, path: str, mode: int) -> None:
        """Make a directory, unless it is there, and those above it."""
        ...
