"""Making a striped file one plain file of its store, without moving a byte.

A store may join files (`Store.concat`), whole and one behind the other. So it depends on the
layout: each stripe has to hold one run of the file's bytes. That is so for a file of one stripe,
and for one that has no more units than stripes; parts that were overwritten, and holes, are in the
way.

Its steps: all stripes are moved into one directory, as HDFS joins no others; they are joined; what
they make takes the place of the manifest. Whoever is killed in between leaves a file that cannot
be read but has lost nothing: sealing it again goes on. Readers that have the file open lose it.
"""

import errno
from dataclasses import replace

from bootseer.errors import BootseerError
from fuse_hdfs.files.names import segment_directory, visible
from fuse_hdfs.files.runs import Stripe, runs
from fuse_hdfs.files.version import Version
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.striping.manifest import MAGIC


class CannotSealError(BootseerError):
    """A file's bytes do not lie so that they can stay where they are."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be sealed: {reason}", hint="bootseer hdfs export copies it"
        )


async def seal(volume: Volume, path: str) -> bool:
    """Make a file plain; False if it was.

    Raises:
        CannotSealError: its layout, or the store, does not allow it. Nothing has changed.
        OSError: as open(2), and what the store raises.
    """
    visible(path)
    version = await volume.load(path)
    manifest = version.manifest
    if manifest is None:
        return False
    stripes = runs(manifest)
    if isinstance(stripes, str):
        raise CannotSealError(path, stripes)
    first, store = stripes[0].path, volume.store
    if await store.read(first, 0, len(MAGIC)) == MAGIC:
        raise CannotSealError(path, "its contents look like a striped file's manifest")
    if await _size(volume, first) != manifest.size:
        await _join(volume, path, stripes)
    if await _size(volume, first) != manifest.size:
        raise OSError(errno.EIO, "joined stripes have another size", path)
    await _take_place(volume, path, version, first)
    for segment in manifest.segments:
        await store.remove_tree(segment_directory(segment.id))
    return True


async def _join(volume: Volume, path: str, stripes: list[Stripe]) -> None:
    """Join all stripes into the first, which an earlier attempt may have begun."""
    store, first = volume.store, stripes[0]
    if not await store.can_concat():
        raise CannotSealError(path, "its store cannot join files")
    directory = first.path.rpartition("/")[0]
    gathered = [first]
    for stripe in stripes[1:]:
        above, _, number = stripe.path.rpartition("/")
        segment = above.rpartition("/")[2]
        aside = stripe.path if above == directory else f"{directory}/{segment}-{number}"
        gathered.append(replace(stripe, path=aside))
    for now, then in zip(stripes, gathered, strict=True):
        found = await _size(volume, now.path)
        if found is None and now != then:
            found = await _size(volume, then.path)
        if found != now.length:
            raise OSError(errno.EIO, "stripes are missing or damaged", path)
    for now, then in zip(stripes, gathered, strict=True):
        if now != then and await _size(volume, now.path) is not None:
            await store.rename(now.path, then.path, replace=True)
    await store.concat(first.path, [stripe.path for stripe in gathered[1:]])


async def _take_place(volume: Volume, path: str, version: Version, joined: str) -> None:
    """Let a file of the store replace a manifest, and be in all else what that was."""
    store, like = volume.store, version.entry.status
    for name, value in (await store.xattrs(path)).items():
        await store.set_xattr(joined, name, value)
    now = await store.stat(joined)
    if now.mode != like.mode:
        await store.set_mode(joined, like.mode)
    if (now.uid, now.gid) != (like.uid, like.gid):
        await store.set_owner(joined, like.uid, like.gid)
    await store.set_modified(joined, like.modified_ns)
    await store.rename(joined, path, replace=True)


async def _size(volume: Volume, path: str) -> int | None:
    try:
        return (await volume.store.stat(path)).size
    except FileNotFoundError:
        return None
