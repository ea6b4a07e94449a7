"""Which files of its store a file consists of, and where their blocks are."""

from dataclasses import dataclass

from bootseer.together import together
from fuse_hdfs.files.names import stripe_path
from fuse_hdfs.files.version import Version
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stores.store import Block

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the store: a stripe, or a plain file itself."""

    path: str
    size: int
    """Bytes; 0 if it is missing."""
    missing: bool
    blocks: tuple[Block, ...]
    """None where the store does not say."""


async def parts_of(volume: Volume, path: str, version: Version) -> list[Part]:
    """Return what a version of the file at `path` consists of, segment by segment.

    OSError if the store fails.
    """
    if version.manifest is None:
        return [await _part(volume, path)]
    paths = [
        stripe_path(segment.id, stripe)
        for segment in version.manifest.segments
        for stripe in range(segment.stripes)
    ]
    return await together(lambda one: _part(volume, one), paths, _AT_ONCE)


async def _part(volume: Volume, path: str) -> Part:
    try:
        size = (await volume.store.stat(path)).size
        return Part(path, size, missing=False, blocks=await volume.store.blocks(path))
    except FileNotFoundError:
        return Part(path, 0, missing=True, blocks=())
