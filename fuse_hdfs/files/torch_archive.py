"""In which order `torch.load` reads a file of `torch.save`. Pure.

Such a file is a ZIP archive (APPNOTE.TXT 6.3.10) whose records `NAME/data/N` are the bytes of its
tensors, not compressed. They are stored by their names as text (0, 1, 10, 100, 11 ...) and read by
their numbers, as the pickle names them: a reader goes on elsewhere in the file with nearly each.
"""

import contextlib
import io
import re
import zipfile
from typing import Final

from fuse_hdfs import limits
from fuse_hdfs.files.order import Order

TAIL: Final = limits.ARCHIVE_TAIL
"""Bytes that are worth having for `order_of`."""
_MARK: Final = b"PK\5\6"
END: Final = 22
"""Bytes of the end that `looks_like_archive` looks at. No comment follows: torch writes none."""
_TENSOR: Final = re.compile(r"(?:.+/)?data/([0-9]{1,9})")


def looks_like_archive(tail: bytes | memoryview) -> bool:
    """Say whether a file that ends so may be one."""
    return bytes(tail[-END:][: len(_MARK)]) == _MARK


def order_of(size: int, tail: bytes | memoryview) -> Order | None:
    """Return the order of a file of `size` bytes that ends with `tail`.

    None if it is no file of torch.save, or its list of records is not all in `tail`.
    """
    starts = _records(size, tail)
    if starts is None:
        return None
    tensors = sorted((number, start) for start, number in starts.items() if number is not None)
    others = sorted(start for start, number in starts.items() if number is None)
    if len(tensors) < 2:
        return None
    # What is last in the file, the list of records, is read first of all, and is small.
    read = [*others, *(start for _, start in tensors)]
    parts = sorted(starts)
    rows = {start: row for row, start in enumerate(parts)}
    return Order(size, parts, [rows[start] for start in read])


def _records(size: int, tail: bytes | memoryview) -> dict[int, int | None] | None:
    """Return where each part of the file starts, with the number of its tensor if it has one."""
    starts: dict[int, int | None] = {0: None}
    with contextlib.suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        with zipfile.ZipFile(_Tail(size, tail)) as archive:
            listed = archive.infolist()
            end = archive.start_dir
        for one in listed:
            if not 0 <= one.header_offset < end or one.compress_type != zipfile.ZIP_STORED:
                return None
            found = _TENSOR.fullmatch(one.filename)
            starts[one.header_offset] = int(found[1]) if found else None
        if 0 < end < size:
            starts[end] = None
        return starts
    return None


class _Tail(io.RawIOBase):
    """A file of which nothing but the end is at hand."""

    def __init__(self, size: int, tail: bytes | memoryview) -> None:
        super().__init__()
        self._size = size
        self._tail = memoryview(tail)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        start = self._at - (self._size - len(self._tail))
        if start < 0:
            raise OSError("is not at hand")
        end = len(self._tail) if size < 0 else start + size
        found = bytes(self._tail[start:end])
        self._at += len(found)
        return found
