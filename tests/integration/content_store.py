"""A mirror that has what a node's containerd has: what peer-to-peer mirrors of images serve.

A stand-in for Spegel, which cannot be built from what tests may download: it answers as Spegel's
interface is documented, out of a real content store. See docs/mirrors.md.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web
from registry_proxy import serving


class ContentStore:
    """containerd's content store on disk, read only."""

    def __init__(self, root: Path) -> None:
        """`root`: containerd's root directory."""
        self._blobs = root / "io.containerd.content.v1.content/blobs/sha256"
        self.missed: Counter[str] = Counter()
        """How often a blob was asked for that is not there."""

    def path(self, digest: str) -> Path:
        """Return where a blob is, or would be."""
        return self._blobs / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Say whether a blob is there whole."""
        return self.path(digest).exists()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer for a blob, ranges included; anything else is not here."""
        if "/blobs/" not in request.path:
            return web.Response(status=404)
        digest = request.path.rsplit("/", 1)[1]
        if self.has(digest):
            return web.FileResponse(self.path(digest))
        self.missed[digest] += 1
        return web.Response(status=404)


@contextmanager
def content_store_mirror(store: ContentStore) -> Iterator[str]:
    """Serve a content store on a free loopback port during the block; give its address."""
    with serving(store.handle) as host:
        yield host
