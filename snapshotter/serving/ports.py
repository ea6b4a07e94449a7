"""What serving a layer needs of the rooms that know registries and images."""

from dataclasses import dataclass
from typing import Protocol

from snapshotter.ports import BlobSource


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
