"""What services need of the world: small protocols, so that tests can hand in their own."""

from collections.abc import AsyncIterator
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
