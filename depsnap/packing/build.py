"""Packs out of files: compressed, named by what is in them, made by several processes."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import zstandard

from bootseer.errors import CorruptError
from depsnap.packing.groups import grouped, owners, records
from depsnap.packing.hashing import AreaPart, Hashes, root_of
from depsnap.packing.stamps import stamp_of, without_stamp
from depsnap.pool import by_size, ignore, shared_out
from depsnap.tree.entries import Entry, Frame, Pack, Tree

_FRAME: Final = 1 << 20
"""Bytes of contents in one frame: what is read, checked and unpacked as one piece."""
_LARGE: Final = 1 << 20
"""Files from this size on have a pack of their own: the same file is then stored once, whichever
distribution, version or snapshot it comes with."""
_LEVEL: Final = 3
_RECORD: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class _Job:
    """One pack to make."""

    title: str
    single: bool
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """One pack that was made."""

    pack: Pack
    stamps: list[int]
    """Of its files; -1 where there is none."""
    hashes: Hashes


@dataclass(frozen=True, slots=True)
class Packed:
    """A tree, and the files with its packs."""

    tree: Tree
    files: Mapping[str, Path]
    """By digest."""


def build_packs(
    entries: Sequence[Entry],
    directory: Path,
    workers: int,
    root: Path = Path("/"),
    more: Callable[[int], None] = ignore,
) -> Packed:
    """Pack the files of these entries, which lie below `root`, into files in `directory`.

    `more` hears of bytes that are being packed.

    Raises:
        CorruptError: a file has another size than its entry: somebody changes it.
        OSError: a file cannot be read, or the packs not be written.
    """
    texts = {path: _text(root / path) for path in records(entries)}
    jobs = _jobs(entries, grouped(entries, owners(texts)))
    start = partial(_packing, entries, directory, root)
    sizes = [sum(entries[row].stored for row in job.rows) for job in jobs]
    made = shared_out(start, jobs, workers, by_size(sizes, more))
    packs: dict[str, int] = {}
    stored: list[Pack] = []
    parts: list[Hashes] = []
    filled = list(entries)
    for job, one in zip(jobs, made, strict=True):
        pack = one.pack
        # Two equal packs of several files would each need their own entries: only single ones are
        # shared, and two others that happen to be equal are rows of their own with one object.
        number = packs.get(pack.digest) if pack.single else None
        if number is None:
            number = len(stored)
            stored.append(pack)
            parts.append(one.hashes)
            if pack.single:
                packs[pack.digest] = number
        for row, stamp in zip(job.rows, one.stamps, strict=True):
            filled[row] = filled[row]._replace(pack=number, stamp=stamp)
    files = {pack.digest: directory / pack.digest for pack in stored}
    tree = Tree(tuple(filled), tuple(stored), root_of(parts, entries))
    return Packed(tree, files)


def _jobs(entries: Sequence[Entry], groups: Mapping[str, Sequence[int]]) -> list[_Job]:
    """Return the packs to make, the largest first: that one worker ends late costs least so."""
    jobs = []
    for title, rows in groups.items():
        small = []
        for row in rows:
            if entries[row].stored >= _LARGE:
                jobs.append(_Job(_titled(title), single=True, rows=(row,)))
            else:
                small.append(row)
        if small:
            jobs.append(_Job(_titled(title), single=False, rows=tuple(small)))
    return sorted(jobs, key=lambda job: -sum(entries[row].stored for row in job.rows))


def _titled(title: str) -> str:
    shown = title.encode("ascii", "backslashreplace").decode()[:200]
    return shown if shown.isprintable() else ascii(title)[1:200]


@contextlib.contextmanager
def _packing(
    entries: Sequence[Entry], directory: Path, root: Path
) -> Iterator[Callable[[_Job], _Made]]:
    compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def pack(job: _Job) -> _Made:
        return _pack(job, entries, directory, root, compressor)

    yield pack


def _pack(
    job: _Job,
    entries: Sequence[Entry],
    directory: Path,
    root: Path,
    compressor: zstandard.ZstdCompressor,
) -> _Made:
    """Make one pack."""
    whole = hashlib.sha256()
    frames: list[Frame] = []
    stamps: list[int] = []
    area = AreaPart()
    temporary = directory / f"{os.getpid()}.new"

    with temporary.open("wb", 0) as file:

        def put(raw: bytes) -> None:
            data = compressor.compress(raw)
            whole.update(data)
            file.write(data)
            frames.append(Frame(len(data), len(raw), hashlib.sha256(data).hexdigest()))

        if job.single:
            entry = entries[job.rows[0]]
            pieces = _joined(_pieces(root / entry.path, entry, area))
            first = next(pieces)
            stamps.append(-1 if entry.extents is not None else stamp_of(entry.path, first))
            put(first if stamps[0] < 0 else without_stamp(first))
            for piece in pieces:
                put(piece)
        else:
            for raw in _frames([entries[row] for row in job.rows], root, stamps, area):
                put(raw)
    digest = whole.hexdigest()
    temporary.rename(directory / digest)
    return _Made(Pack(digest, job.title, job.single, tuple(frames)), stamps, area.hashes)


def _frames(
    entries: Sequence[Entry], root: Path, stamps: list[int], area: AreaPart
) -> Iterator[bytes]:
    """Yield the contents of small files, as many as fit into a frame at a time."""
    parts: list[bytes] = []
    size = 0
    for entry in entries:
        content = b"".join(_pieces(root / entry.path, entry, area))
        stamp = -1 if entry.extents is not None else stamp_of(entry.path, content)
        stamps.append(stamp)
        if parts and size + len(content) > _FRAME:
            yield b"".join(parts)
            parts, size = [], 0
        parts.append(content if stamp < 0 else without_stamp(content))
        size += len(content)
    if parts:
        yield b"".join(parts)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes with the many small pieces of a sparse file put together."""
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        if parts and size + len(piece) > _FRAME:
            yield b"".join(parts)
            parts, size = [], 0
        parts.append(piece)
        size += len(piece)
    if parts:
        yield b"".join(parts)


def _pieces(path: Path, entry: Entry, area: AreaPart) -> Iterator[bytes]:
    """Yield what a file holds, without holes, in pieces of a frame; `area` gets all of it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    at = 0
    try:
        if os.fstat(descriptor).st_size != entry.size:
            raise CorruptError(f"/{entry.path} changes while it is packed")
        for offset, length in _spans(entry):
            data = os.pread(descriptor, length, offset)
            if len(data) != length:
                raise CorruptError(f"/{entry.path} changes while it is packed")
            area.add_hole(offset - at)
            area.add(data)
            at = offset + length
            yield data
    finally:
        os.close(descriptor)
    area.add_hole(entry.size - at)
    area.end_file()


def _spans(entry: Entry) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of what to read of a file: data, at most a frame at a time."""
    for start, length in entry.extents if entry.extents is not None else ((0, entry.size),):
        for offset in range(start, start + length, _FRAME):
            yield offset, min(_FRAME, start + length - offset)


def _text(path: Path) -> str:
    if path.stat().st_size > _RECORD:
        return ""
    return path.read_text("utf-8", "surrogateescape")
