"""One repository's blobs, for services that want bytes and know nothing of registries."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from snapshotter.ports import Early, MirroredSource
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import Reference, parse_reference
from snapshotter.registry.settings import ClientSettings


class RepositoryBlobs:
    """The blobs of one repository: a `snapshotter.ports.MirroredSource`."""

    def __init__(self, client: RegistryClient, reference: Reference) -> None:
        """`reference`: any image of the repository; tag and digest do not matter."""
        self._client = client
        self._reference = reference

    async def read(
        self, digest: str, offset: int, length: int, early: Early | None = None
    ) -> bytes:
        """Return exactly `length` bytes from `offset`; see `Blobs.read`."""
        return await self._client.blobs.read(self._reference, digest, offset, length, early)

    def stream(
        self, digest: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the blob, or a part of it; see `Blobs.stream`."""
        return self._client.blobs.stream(self._reference, digest, offset, length)

    async def doubt(self, digest: str) -> None:
        """Read a blob from the registry itself for a while; see `Blobs.doubt`."""
        await self._client.blobs.doubt(self._reference, digest)


@dataclass(frozen=True, slots=True)
class RepositoryAccess:
    """How a worker process reaches a repository's blobs: pickles, connects when opened."""

    settings: ClientSettings
    reference: str
    """As users write it."""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[MirroredSource]:
        """Connect; closed by leaving the context.

        Raises:
            UsageError: the reference is malformed.
        """
        reference = parse_reference(self.reference)
        async with RegistryClient(self.settings) as client:
            yield RepositoryBlobs(client, reference)
