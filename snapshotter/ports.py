"""What services need of the world: small protocols, so that tests can hand in their own."""

import datetime as dt
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from snapshotter.hot.record import MergedRecord, Record


@dataclass(frozen=True, slots=True)
class Early:
    """What a reader wants to be given while the rest is still on its way."""

    length: int
    """Bytes, the first ones."""
    arrived: Callable[[bytes], None]
    """Called with them, or not at all; more than once if the reading began anew."""


class BlobSource(Protocol):
    """Bytes of content-addressed blobs of one repository, from wherever they are near.

    Every method raises `NotFoundError` when the blob does not exist and `RemoteError` when it
    cannot be had now; retries are the source's own business. Nothing returned is verified.
    """

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        """Return exactly `length` bytes from `offset` (the caller stays inside the blob)."""
        ...

    def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield `length` bytes of the blob from `offset`, or all to its end, in pieces of at most
        1 MiB as they come in.
        """
        ...


class MirroredSource(BlobSource, Protocol):
    """A source behind which several places answer, near ones first."""

    async def doubt(self, digest: str) -> None:
        """Note that bytes of a blob turned out wrong: for a while it is asked of the place that
        the others are copies of, first.
        """
        ...


class IndexKind(StrEnum):
    """Formats of what says where a layer's files are."""

    BOOTSEER = "bootseer"
    """Our own, published next to the image or made on this node."""
    ESTARGZ = "estargz"
    """The table of contents in an eStargz layer."""
    ZSTD_CHUNKED = "zstd:chunked"
    """The table of contents in a zstd:chunked layer."""
    SOCI = "soci"
    """A zTOC, published next to the image."""


@dataclass(frozen=True, slots=True)
class PublishedIndex:
    """Where a layer's published index is found. Nothing of it was read yet."""

    digest: str
    """What it is known by; what of it has this digest is its format's business."""
    size: int
    """Bytes, as it is stored. 0: what is read of the layer says so."""
    kind: IndexKind = IndexKind.BOOTSEER
    offset: int = 0
    """Where in the layer it is stored, if that is known; 0 for an index beside the layer."""
    layer_size: int = 0
    """Bytes of the layer; 0 where the index says so."""
    vouched: bool = False
    """The image's manifest names its digest: whoever trusts the image trusts the index."""


class Images(Protocol):
    """What registries know of an image."""

    async def index_of(
        self, reference: str, manifest_digest: str, layer_digest: str
    ) -> PublishedIndex | None:
        """Return the published index of a layer of an image, or None if there is none.

        Raises:
            RemoteError: the registry cannot say.
        """
        ...

    async def indexes_of(
        self, reference: str, manifest_digest: str
    ) -> Mapping[str, PublishedIndex]:
        """Return the published indexes of all layers of an image, by layer digest.

        Raises:
            RemoteError: the registry cannot say.
        """
        ...

    def blobs(self, reference: str) -> MirroredSource:
        """Return the blobs of the repository that an image reference names."""
        ...


@dataclass(frozen=True, slots=True)
class ImageKey:
    """One image manifest, and a reference in whose repository it is."""

    reference: str
    """As the client wrote it, not normalised."""
    manifest_digest: str
    """`sha256:...` of the manifest of the platform, not of an image index."""


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """A layer's index that this node made, in files."""

    layer_digest: str
    index: Path
    windows: Path
    """May be empty."""
    random_access: bool
    """Without it the layer has to be fetched whole, and the index is of no use to others."""


class IndexPublishing(Protocol):
    """Publishes indexes next to their image."""

    async def lacking(self, image: ImageKey) -> frozenset[str]:
        """Return the layers of an image without a published index.

        Raises:
            BootseerError: the registry cannot say, or the image is broken.
        """
        ...

    async def publish(self, image: ImageKey, made: Sequence[MadeIndex]) -> str:
        """Publish indexes besides those that are there; return the digest of the result.

        Raises:
            BootseerError: the registry refuses, or what was made is not of this image.
            OSError: a file cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class PublishedPack:
    """A hot pack that can be fetched. Nothing of it was read yet."""

    digest: str
    size: int
    """Bytes."""
    runs: int
    """Runs whose records were merged for it."""
    created: dt.datetime
    indexes: tuple[str, ...]
    """Digests of the layer indexes by which its blocks are numbered."""


@dataclass(frozen=True, slots=True)
class StoredHot:
    """One thing in a `HotStore`, for people to look at."""

    kind: Literal["records", "pack"]
    digest: str
    """Of what was stored, as the place names it."""
    size: int
    """Bytes of records or pack."""
    workload: str
    runs: int
    created: dt.datetime


class HotStore(Protocol):
    """Where records and packs of images are kept: a registry, a directory, HDFS.

    Everything that comes back is hostile until checked. What is broken is logged and passed over,
    not raised: a record is an optimisation. Every method raises `RemoteError` (or `HostError`, for
    a local directory) when the place cannot say or refuses, never later than its time-outs; those
    that publish also `NotFoundError` and `CorruptError`, when the image, or the list they would add
    to, is not there or broken.
    """

    async def records(self, image: ImageKey, workload: str) -> Sequence[Record]:
        """Return the valid records of an image and workload (empty: the image's default).

        Of more than `Limits.hot_runs`, the newest as far as the place tells.
        """
        ...

    async def pack(self, image: ImageKey, workload: str) -> PublishedPack | None:
        """Return the pack of the most runs, of these the newest; None if there is none."""
        ...

    async def stored(self, image: ImageKey) -> Sequence[StoredHot]:
        """Return what there is of an image, of all workloads, newest first."""
        ...

    async def blobs(self, image: ImageKey) -> MirroredSource:
        """Return where `PublishedPack.digest` is read from."""
        ...

    async def publish_record(self, image: ImageKey, record: Record) -> None:
        """Add a record, unless there are more than anybody reads.

        Two nodes that publish at once lose nothing. Publishing a record again changes nothing.
        """
        ...

    async def publish_pack(self, image: ImageKey, merged: MergedRecord, pack: Path) -> None:
        """Add the pack, a file, that was made of these runs."""
        ...
