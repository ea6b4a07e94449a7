"""A file that has no descriptor, and says so as other file systems' files for fsspec do.

PyTorch's checkpoints ask every file for its descriptor, to sync it, and take an AttributeError for
there being none; `io`'s own files raise something else.
"""

import io
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class DescriptorlessFile(io.BufferedIOBase):
    """Passes everything on to a buffered file, but for its descriptor."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = cast("io.BufferedRandom", file)
        self.name = file.name

    @property
    def fileno(self) -> NoReturn:
        """There is none."""
        raise AttributeError("fileno")

    @property
    def closed(self) -> bool:
        """See `io.IOBase`."""
        return self._file.closed

    def close(self) -> None:
        """See `io.IOBase`."""
        self._file.close()

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return self._file.readable()

    def writable(self) -> bool:
        """See `io.IOBase`."""
        return self._file.writable()

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase`."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """See `io.IOBase`."""
        return self._file.truncate(size)

    def flush(self) -> None:
        """See `io.IOBase`."""
        self._file.flush()

    def read(self, size: int | None = -1) -> bytes:
        """See `io.BufferedIOBase`."""
        return self._file.read(size)

    def read1(self, size: int = -1) -> bytes:
        """See `io.BufferedIOBase`."""
        return self._file.read1(size)

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """See `io.BufferedIOBase`."""
        return self._file.readinto(buffer)

    def write(self, data: "ReadableBuffer") -> int:
        """See `io.BufferedIOBase`."""
        return self._file.write(data)
