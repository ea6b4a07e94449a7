"""Blobs from the first place that has them."""

import logging
from collections.abc import AsyncGenerator, Sequence

from bootseer.errors import NotFoundError, RemoteError
from snapshotter.ports import MirroredSource

log = logging.getLogger(__name__)


class FirstOf:
    """A `MirroredSource` over several repositories: a layer is often in more than one."""

    def __init__(self, sources: Sequence[MirroredSource]) -> None:
        """`sources`, at least one, in the order in which they are tried."""
        self._sources = list(sources)

    async def read(self, digest: str, offset: int, length: int) -> bytes:
        """Return the bytes from the first source that gives them; it is tried first from then on.

        Race-free: the list is only ever reordered, in one step, by the event loop's thread.
        """
        failure: NotFoundError | RemoteError | None = None
        for source in tuple(self._sources):
            try:
                data = await source.read(digest, offset, length)
            except (NotFoundError, RemoteError) as error:
                failure = failure or error
                continue
            if source is not self._sources[0]:
                self._sources.sort(key=lambda other: other is not source)
            return data
        raise failure or NotFoundError(f"blob {digest}: nowhere to fetch it from")

    async def doubt(self, digest: str) -> None:
        """Doubt all sources' mirrors: which of them sent the bytes is not known."""
        for source in tuple(self._sources):
            await source.doubt(digest)

    async def stream(self, digest: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """Yield the blob; when a source fails the next one goes on from there."""
        failure: NotFoundError | RemoteError | None = None
        position = offset
        for source in tuple(self._sources):
            try:
                async for piece in source.stream(digest, position):
                    position += len(piece)
                    yield piece
            except (NotFoundError, RemoteError) as error:
                failure = failure or error
            else:
                return
        raise failure or NotFoundError(f"blob {digest}: nowhere to fetch it from")
