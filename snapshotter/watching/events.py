"""Lines of the kernel's trace -> touches of block files. Pure.

The event is `filemap:mm_filemap_get_pages`: somebody asks the page cache of a file for some of its
bytes, whether they are there or not. What the kernel reads ahead is no such event. Its text has a
process' name in it, which may be anything: whoever chooses it can have a block taken for touched,
no more.

References: Linux `include/trace/events/filemap.h`, `Documentation/trace/ftrace.rst`.
"""

import re
from dataclasses import dataclass
from typing import Final

EVENT: Final = "filemap/mm_filemap_get_pages"
_PRINTED: Final = 'print fmt: "dev=%d:%d ino=%lx ofs=%lld-%lld"'
_LINE: Final = re.compile(
    rb" (\d{1,10}\.\d{6}): mm_filemap_get_pages: dev=\d{1,10}:\d{1,10} "
    rb"ino=([0-9a-f]{1,16}) ofs=(\d{1,18})-(\d{1,18})\n"
)
_LOST: Final = re.compile(rb"\[LOST (\d{1,18}) EVENTS\]\n")


@dataclass(frozen=True, slots=True)
class Touch:
    """Somebody read part of a file."""

    at: float
    """Seconds of the monotonic clock."""
    inode: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What some lines say."""

    touches: tuple[Touch, ...]
    lost: int
    """Events for which there was no room."""


def is_understood(described: str) -> bool:
    """Say whether `parse` understands an event, by what the kernel says of how it is printed."""
    return any(line.startswith(_PRINTED) for line in described.splitlines())


def parse(lines: bytes) -> Heard:
    """Return what whole lines say; those of other events, or of no sense, are passed over."""
    touches = []
    for at, inode, first, last in _LINE.findall(lines):
        length = int(last) + 1 - int(first)
        if length > 0:
            touches.append(Touch(float(at), int(inode, 16), int(first), length))
    return Heard(tuple(touches), sum(map(int, _LOST.findall(lines))))
