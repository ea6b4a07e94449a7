"""What is known of an image and its published indexes, as one report."""

import asyncio
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bootseer.config import DEFAULT_SOURCES, IndexSource
from bootseer.errors import CorruptError
from snapshotter.images.artifact import LayerEntry
from snapshotter.images.find import FoundArtifact, find_artifact
from snapshotter.images.published import PublishedImages
from snapshotter.images.resolve import ResolvedImage, resolve
from snapshotter.layers.coarse import has_coarse_chunks
from snapshotter.layers.format import decode
from snapshotter.layers.records import InodeFlag, LayerIndex, Tree
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.reference import Reference


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A name in a layer."""

    path: bytes
    """Without a slash in front; as the layer has it, in whatever encoding."""
    mode: int
    """st_mode."""
    size: int
    target: bytes
    """Of a symlink."""
    whiteout: bool
    """It hides the name in the layers below."""

    @property
    def permissions(self) -> str:
        """The mode as `ls -l` writes it."""
        return stat.filemode(self.mode)


@dataclass(frozen=True, slots=True)
class LayerReport:
    """A layer and its index. Sizes in bytes; None where there is no index."""

    position: int
    """0 is the bottom layer."""
    digest: str
    media_type: str
    size: int
    indexed: bool
    sequential: bool
    """It was looked at, and cannot be read at random."""
    problem: str = ""
    """Why the published index cannot be used."""
    coarse: bool = False
    """It is known to be zstd in large frames: `bootseer image convert` makes it lazier."""
    served_by: str = ""
    """Format of the index that nodes take (`ports.IndexKind`); empty: they make one."""
    index_digest: str | None = None
    index_size: int | None = None
    windows_size: int | None = None
    data_size: int | None = None
    entries: int | None = None
    chunks: int | None = None
    index: LayerIndex | None = field(default=None, repr=False)

    @property
    def share(self) -> float | None:
        """Index and windows as a part of the layer."""
        if self.index_size is None or not self.size:
            return None
        return (self.index_size + (self.windows_size or 0)) / self.size


@dataclass(frozen=True, slots=True)
class ImageReport:
    """An image, its layers, and the artifact with their indexes."""

    image: ResolvedImage
    found: FoundArtifact | None
    layers: tuple[LayerReport, ...]


async def inspect_image(
    client: RegistryClient,
    reference: Reference,
    platform: Platform,
    sources: Sequence[IndexSource] = DEFAULT_SOURCES,
) -> ImageReport:
    """Return the report on an image; every published index is fetched, verified and validated.

    `sources`: where nodes look for indexes, in this order. Of those of other formats is said only
    that they are there.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: the image is not what its digest says.
    """
    image = await resolve(client, reference, platform)
    found = await find_artifact(client, image.reference, image.digest)
    reports = []
    for position, layer in enumerate(image.layers):
        entry = found.artifact.layer(layer.digest) if found else None
        sequential = bool(found and layer.digest in found.artifact.unindexed)
        if entry is None:
            reports.append(_bare(position, layer, sequential=sequential))
        else:
            reports.append(await _indexed(client, image.reference, position, layer, entry))
    taken = await PublishedImages(client, sources=sources).indexes_of(
        str(image.reference), image.digest
    )
    kinds = {digest: str(index.kind) for digest, index in taken.items()}
    served = (replace(one, served_by=kinds.get(one.digest, "")) for one in reports)
    return ImageReport(image, found, tuple(served))


def _bare(position: int, layer: Descriptor, *, sequential: bool, problem: str = "") -> LayerReport:
    return LayerReport(
        position=position,
        digest=layer.digest,
        media_type=layer.media_type,
        size=layer.size,
        indexed=False,
        sequential=sequential,
        problem=problem,
        coarse=sequential and layer.media_type.endswith("zstd"),
    )


async def _indexed(
    client: RegistryClient,
    reference: Reference,
    position: int,
    layer: Descriptor,
    entry: LayerEntry,
) -> LayerReport:
    limits = client.settings.limits
    try:
        data = await client.blobs.get(reference, entry.index.digest, entry.index.size)
        index = await asyncio.to_thread(decode, data, limits)
    except CorruptError as error:
        return _bare(position, layer, sequential=False, problem=error.message)
    if index.layer_digest != layer.digest:
        problem = f"the index is of layer {index.layer_digest}"
        return _bare(position, layer, sequential=False, problem=problem)
    return LayerReport(
        position=position,
        digest=layer.digest,
        media_type=layer.media_type,
        size=layer.size,
        indexed=True,
        sequential=False,
        coarse=has_coarse_chunks(index.chunks),
        index_digest=entry.index.digest,
        index_size=entry.index.size,
        windows_size=entry.windows.size if entry.windows else 0,
        data_size=index.data_size,
        entries=len(index.tree.child),
        chunks=len(index.chunks.codec),
        index=index,
    )


def files(tree: Tree) -> Iterator[FileEntry]:
    """Yield the names of a layer, breadth first."""
    targets = _targets(tree)
    paths: dict[int, bytes] = {0: b""}
    inodes = tree.inodes
    start = 0
    for parent, child, end in zip(
        tree.parent.tolist(), tree.child.tolist(), tree.name_end.tolist(), strict=True
    ):
        path = paths[parent] + tree.names[start:end]
        start = end
        mode = int(inodes.mode[child])
        if stat.S_ISDIR(mode):
            paths[child] = path + b"/"
        yield FileEntry(
            path=path,
            mode=mode,
            size=int(inodes.size[child]),
            target=targets.get(child, b""),
            whiteout=bool(int(inodes.flags[child]) & InodeFlag.WHITEOUT),
        )


def _targets(tree: Tree) -> dict[int, bytes]:
    found = {}
    start = 0
    modes = tree.inodes.mode.tolist()
    for inode, mode in enumerate(modes):
        if stat.S_ISLNK(mode):
            end = start + int(tree.inodes.size[inode])
            found[inode] = tree.targets[start:end]
            start = end
    return found
