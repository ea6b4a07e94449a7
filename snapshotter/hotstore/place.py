"""What an `ArtifactHotStore` needs of the place where its artifacts are."""

from pathlib import Path
from typing import Protocol

from snapshotter.hot.artifact import HotArtifact, HotKind
from snapshotter.limits import Limits
from snapshotter.ports import ImageKey, MirroredSource
from snapshotter.registry.descriptors import Descriptor


class HotPlace(Protocol):
    """Artifacts of images, and the blobs they name.

    Every method raises `RemoteError` or `HostError` where the place fails; what is broken there is
    logged by the place and passed over when reading. Those that write raise `NotFoundError` and
    `CorruptError` as well.
    """

    @property
    def limits(self) -> Limits:
        """How much is read."""
        ...

    async def list(self, image: ImageKey, kind: HotKind, workload: str | None) -> list[Descriptor]:
        """Return the artifacts that may be of a workload (None: of all), newest first."""
        ...

    async def artifact(
        self, image: ImageKey, kind: HotKind, listed: Descriptor
    ) -> HotArtifact | None:
        """Return a listed artifact; None if it is gone or broken."""
        ...

    async def blob(self, image: ImageKey, blob: Descriptor) -> bytes:
        """Return a blob, verified.

        Raises:
            NotFoundError: it is gone.
            CorruptError: it is not what its digest or its size says.
        """
        ...

    def blobs(self, image: ImageKey) -> MirroredSource:
        """Return the blobs to read from; nothing read there is verified."""
        ...

    async def subject(self, image: ImageKey) -> Descriptor:
        """Return the descriptor of the image's manifest, for an artifact to name."""
        ...

    async def put_blob(self, image: ImageKey, content: bytes | Path, digest: str) -> None:
        """Store a blob, or a file as one, unless it is there."""
        ...

    async def publish(self, image: ImageKey, artifact: HotArtifact) -> str:
        """Store an artifact whose blobs are there, and list it; return its digest."""
        ...
