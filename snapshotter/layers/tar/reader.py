"""Incremental tar parser: bytes in, members out, no I/O and no copy of file contents.

Accepts and refuses what Go's archive/tar does, because containerd reads layers with it: ustar,
GNU (long names, base-256), PAX (with GNU's sparse files), star, seventh edition. A stream may
lack its end mark, end inside padding, or carry anything behind the end mark. One thing more is
refused: a sparse map that does not fit its contents, even where nobody would read them.
"""

from typing import TYPE_CHECKING, Final

from bootseer.errors import CorruptError
from snapshotter.layers.tar import header, pax, sparse
from snapshotter.layers.tar.fields import FieldError, c_string
from snapshotter.layers.tar.header import BLOCK, Header
from snapshotter.layers.tar.member import WITHOUT_DATA, Kind, Member, Run, device_number
from snapshotter.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

_BY_FLAG: Final = {kind.value: kind for kind in Kind}
_KINDS: Final = tuple(_BY_FLAG.get(flag, Kind.UNKNOWN) for flag in range(256))
_LONG_NAME: Final = ord("L")
_LONG_LINK: Final = ord("K")
_EXTENDED: Final = ord("x")
_GLOBAL: Final = ord("g")
_OLD_SPARSE: Final = ord("S")
_OLD_FILE: Final = 0


class TarReader:
    """A machine that waits for `_want` bytes and hands them to `_then`.

    Between two such blocks lies a gap: file contents and padding, which are counted and not
    looked at. After an error the reader must not be used again. Not safe for several threads.
    """

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._position = 0  # in the stream: where `_gap` begins
        self._gap = 0
        self._padding = 0  # how much of the gap's end is padding
        self._want = BLOCK
        self._then: Callable[[bytes], None] = self._on_header
        self._held = bytearray()
        self._members: list[Member] = []
        self._zero_block = False
        self._ended = False
        self._start = 0  # of the header last read
        self._records = pax.NO_RECORDS
        self._long_name = b""
        self._long_link = b""

    def feed(self, piece: bytes | memoryview) -> list[Member]:
        """Take the next bytes of the stream, any number; return the members now known.

        A member comes as soon as its headers are complete, before its contents. Raises
        `CorruptError`.
        """
        self._members = []
        try:
            self._advance(piece)
        except FieldError as error:
            raise self._corrupt(str(error)) from error
        return self._members

    def finish(self) -> None:
        """Say that the stream ends here. Raises `CorruptError` if something is cut off."""
        if self._ended:
            return
        if self._gap > self._padding:
            raise self._corrupt(f"the stream ends {self._gap - self._padding} bytes too early")
        if self._held or self._then != self._on_header:
            raise self._corrupt("the stream ends inside a header")

    def _advance(self, piece: bytes | memoryview) -> None:
        at, end = 0, len(piece)
        while not self._ended:
            if self._gap:
                step = min(self._gap, end - at)
                self._gap -= step
                self._position += step
                at += step
                if self._gap:
                    return
            missing = self._want - len(self._held)
            if end - at < missing:
                self._held += piece[at:]
                self._position += end - at
                return
            block = bytes(piece[at : at + missing])
            if self._held:
                block = bytes(self._held) + block
                self._held.clear()
            self._position += missing
            at += missing
            self._then(block)

    def _on_header(self, block: bytes) -> None:
        self._start = self._position - BLOCK
        if block == header.ZEROS:
            self._ended = self._zero_block
            self._zero_block = True
            return
        if self._zero_block:
            raise FieldError("a header follows a block of zeros")
        read = header.parse(block)
        flag = read.typeflag
        if flag in _SPECIAL:
            self._collect(read)
        elif flag == _OLD_SPARSE:
            raise FieldError("an old GNU sparse file (type S), which containerd refuses")
        else:
            self._on_member(read)

    def _collect(self, read: Header) -> None:
        """Wait for the contents of a header that is about the next one."""
        if not 0 <= read.size <= self._limits.pax_header:
            raise FieldError(f"an extended header of {read.size} bytes")
        self._want = read.size
        self._then = lambda content: self._on_special(read, content)

    def _on_special(self, read: Header, content: bytes) -> None:
        self._skip(0, len(content))
        if read.typeflag == _EXTENDED:
            self._records = pax.parse(content)
        elif read.typeflag == _LONG_NAME:
            self._long_name = c_string(content)
        elif read.typeflag == _LONG_LINK:
            self._long_link = c_string(content)
        else:
            name = pax.parse(content).get(b"path") or read.name
            self._yield(read._replace(name=name), Kind.GLOBAL, 0, (), ())

    def _skip(self, stored: int, content: int) -> None:
        """Go on with a header behind `stored` bytes, and the padding that `content` needs."""
        self._padding = -content % BLOCK
        self._gap = stored + self._padding
        self._want = BLOCK
        self._then = self._on_header

    def _on_member(self, read: Header) -> None:
        kind = _KINDS[read.typeflag]
        if read.size < 0 and kind not in WITHOUT_DATA:
            raise FieldError("a negative size")
        records, nanoseconds = self._records, 0
        xattrs: tuple[tuple[bytes, bytes], ...] = ()
        if records:
            read, nanoseconds = pax.override(read, records)
            xattrs = pax.xattrs(records)
        if self._long_name:
            read = read._replace(name=self._long_name)
        if self._long_link:
            read = read._replace(linkname=self._long_link)
        if read.typeflag == _OLD_FILE:
            kind = Kind.DIRECTORY if read.name.endswith(b"/") else Kind.FILE
        described = sparse.described(records) if records else None
        if described is not None:
            self._on_sparse(read, described, kind, nanoseconds, xattrs)
            return
        stored = 0 if kind in WITHOUT_DATA else read.size
        if stored:
            self._check_size(stored)
        runs = (Run(0, self._position, stored),) if stored and kind is Kind.FILE else ()
        self._skip(stored, stored)
        self._yield(read, kind, nanoseconds, xattrs, runs)

    def _on_sparse(
        self,
        read: Header,
        described: sparse.Sparse,
        kind: Kind,
        nanoseconds: int,
        xattrs: tuple[tuple[bytes, bytes], ...],
    ) -> None:
        if kind in WITHOUT_DATA:
            raise FieldError("a sparse map on something that has no contents")
        stored = read.size
        self._check_size(stored)
        size = stored if described.size is None else described.size
        self._check_size(size)
        real = read._replace(name=described.name or read.name, size=size)

        def complete(pieces: sparse.Map, taken: int) -> None:
            runs = sparse.runs(pieces, size, self._position, stored - taken)
            self._skip(stored - taken, stored)
            self._yield(real, kind, nanoseconds, xattrs, runs)

        if described.pieces is not None:
            complete(described.pieces, 0)
            return
        collected = sparse.MapInData(self._limits.pax_header)

        def on_block(block: bytes) -> None:
            if collected.size + BLOCK > stored:
                raise FieldError("a sparse map is longer than its file")
            if collected.add(block):
                complete(collected.pieces(), collected.size)

        self._want = BLOCK
        self._then = on_block

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self._limits.layer_tar:
            raise FieldError(f"a file of {size} bytes")

    def _yield(
        self,
        read: Header,
        kind: Kind,
        nanoseconds: int,
        xattrs: tuple[tuple[bytes, bytes], ...],
        runs: tuple[Run, ...],
    ) -> None:
        self._records = pax.NO_RECORDS
        self._long_name = self._long_link = b""
        self._members.append(
            Member(
                read.name,
                kind,
                read.mode,
                read.uid,
                read.gid,
                read.mtime,
                nanoseconds,
                read.size,
                read.linkname,
                device_number(read.major, read.minor) if kind in _DEVICES else 0,
                xattrs,
                runs,
                self._start,
            )
        )

    def _corrupt(self, what: str) -> CorruptError:
        return CorruptError(
            f"tar stream, header at byte {self._start}: {what}",
            hint="containerd refuses such a layer too: build the image again",
        )


_SPECIAL: Final = frozenset((_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL))
_DEVICES: Final = (Kind.CHARACTER, Kind.BLOCK)
