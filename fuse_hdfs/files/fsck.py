"""What is wrong in a volume: damaged files, and what killed writers left.

A segment without a manifest that names it may belong to a file that is being written at this
moment, so only what is older than a grace period counts as left: it must be longer than any file
stays open without a sync. Manifests are looked at after
segments: one that is published in between names segments that were seen.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bootseer.errors import CorruptError
from bootseer.together import together
from fuse_hdfs import limits
from fuse_hdfs.files.names import HIDDEN, SEGMENTS, UNFINISHED, segment_directory, stripe_path
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stores.store import Status, Store
from fuse_hdfs.striping.layout import Manifest, Segment, SegmentId, place_of
from fuse_hdfs.striping.manifest import decode

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that cannot be read whole."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found."""

    files: int
    damaged: tuple[Damage, ...]
    orphans: tuple[str, ...]
    """Directories of segments, and unfinished files, that nothing names, older than the grace."""
    kept: int
    """How many more there are: too young, or a manifest that is damaged may name them."""


async def check_volume(volume: Volume, grace: float, *, contents: bool = False) -> Report:
    """Look at everything in a volume. `grace`: seconds; `contents`: read and verify every unit.

    OSError if the store fails; what is damaged is in the report.
    """
    segments = await _segments(volume.store)
    unfinished = await _list(volume.store, UNFINISHED)
    files, damaged, named = 0, [], set[str]()
    doubtful = False
    async for path in _files(volume.store, ""):
        files += 1
        try:
            manifest = (await volume.load(path)).manifest
        except FileNotFoundError:
            continue  # removed meanwhile
        except OSError as error:
            if not isinstance(error.__cause__, CorruptError):
                raise
            damaged.append(Damage(path, error.__cause__.message))
            doubtful = True
            continue
        if manifest is not None:
            named |= {segment_directory(segment.id) for segment in manifest.segments}
            if reason := await _damage(volume, manifest, contents=contents):
                damaged.append(Damage(path, reason))
    before = (time.time() - grace) * 1e9
    for status in unfinished:
        if status.modified_ns >= before:
            named |= await _uploaded(volume.store, f"{UNFINISHED}/{status.name}")
    loose = [(path, status) for path, status in segments if path not in named]
    loose += [(f"{UNFINISHED}/{status.name}", status) for status in unfinished]
    old = [path for path, status in loose if status.modified_ns < before]
    # A damaged manifest may name any of them: they may be what it can be repaired with.
    orphans = () if doubtful else tuple(sorted(old))
    return Report(files, tuple(damaged), orphans, len(loose) - len(orphans))


async def remove_orphans(volume: Volume, report: Report, grace: float) -> tuple[str, ...]:
    """Remove what a report says is left; return what was removed.

    Everything is looked at a second time first: a file that was renamed while the first look was on
    its way may not have been seen under either name.
    """
    again = set((await check_volume(volume, grace)).orphans)
    confirmed = tuple(path for path in report.orphans if path in again)

    async def remove(path: str) -> None:
        if path.startswith(f"{UNFINISHED}/"):
            await volume.store.remove(path)
        else:
            await volume.store.remove_tree(path)

    await together(remove, confirmed, _AT_ONCE)
    return confirmed


async def _uploaded(store: Store, path: str) -> set[str]:
    """Return the segments that an unfinished file names: an upload that will be gone on with."""
    try:
        manifest = decode(await store.read(path, 0, limits.MANIFEST + 1))
    except (FileNotFoundError, CorruptError):
        return set()
    return {segment_directory(segment.id) for segment in manifest.segments}


async def _segments(store: Store) -> list[tuple[str, Status]]:
    found: list[tuple[str, Status]] = []
    for group in await _list(store, SEGMENTS):
        inside = await _list(store, f"{SEGMENTS}/{group.name}")
        found += [(segment_directory(SegmentId(status.name)), status) for status in inside]
    return found


async def _list(store: Store, path: str) -> list[Status]:
    try:
        return await store.list(path)
    except FileNotFoundError:
        return []


async def _files(store: Store, directory: str) -> AsyncIterator[str]:
    directories = [directory]
    while directories:
        above = directories.pop()
        for status in await _list(store, above):
            path = f"{above}/{status.name}" if above else status.name
            if status.directory and path != HIDDEN:
                directories.append(path)
            elif not status.directory:
                yield path


async def _damage(volume: Volume, manifest: Manifest, *, contents: bool) -> str | None:
    """Return what is wrong with a file's stripes; None if nothing is."""
    for segment in manifest.segments:
        for stripe, length in enumerate(_lengths(segment, manifest.unit)):
            path = stripe_path(segment.id, stripe)
            try:
                size = (await volume.store.stat(path)).size
            except FileNotFoundError:
                return f"{path} is missing"
            if size != length:
                return f"{path} has {size} bytes, not {length}"
        if contents and (reason := await _wrong_unit(volume, segment, manifest.unit)):
            return reason
    return None


def _lengths(segment: Segment, unit: int) -> list[int]:
    """Return the bytes of each stripe of a segment."""
    lengths = [0] * segment.stripes
    for index in range(segment.units):
        place = place_of(segment, index, unit)
        lengths[place.stripe] = place.offset + place.length
    return lengths


async def _wrong_unit(volume: Volume, segment: Segment, unit: int) -> str | None:
    async def wrong(index: int) -> str | None:
        place = place_of(segment, index, unit)
        try:
            await volume.contents.unit(place)
        except OSError as error:
            return f"{stripe_path(segment.id, place.stripe)} at {place.offset}: {error.strerror}"
        return None

    found = await together(wrong, range(segment.units), _AT_ONCE)
    return next((reason for reason in found if reason), None)
