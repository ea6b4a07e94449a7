"""What services need of the world: small protocols, so that tests can hand in their own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


class BlobSource(Protocol):
    """Bytes of content-addressed blobs of one repository, from wherever they are near.

    Every method raises `NotFoundError` when the blob does not exist and `RemoteError` when it
    cannot be had now; retries are the source's own business. Nothing returned is verified.
    """

    async def read(self, digest: str, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` (the caller stays inside the blob)."""
        ...

    def stream(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Yield the blob from `offset` to its end, in pieces of at most 1 MiB."""
        ...


@dataclass(frozen=True, slots=True)
class PublishedIndex:
    """Where a layer's published index is found. Nothing of it was read yet."""

    digest: str
    size: int


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

    def blobs(self, reference: str) -> BlobSource:
        """Return the blobs of the repository that an image reference names."""
        ...
