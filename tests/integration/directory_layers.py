"""A layer provider for tests: mounts EROFS images that mkfs.erofs makes of directories."""

import asyncio
import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bootseer.errors import BootseerError, RemoteError
from snapshotter.snapshots.ports import LayerMount, LayerRequest, StartRequest

SIZE, INODES = 12345, 67
"""What every layer says that it takes."""


class DirectoryLayers:
    """Serves the layers whose digest is in `trees`; images and mounts are below `root`."""

    def __init__(self, root: Path, trees: Mapping[str, Path]) -> None:
        self.root = root
        self.requests: list[LayerRequest] = []
        self.released: list[str] = []
        self.failure: Exception | None = None
        self.broken: BootseerError | None = None
        self.hang = False
        self._lock = asyncio.Lock()
        self._names = {digest: hashlib.sha256(digest.encode()).hexdigest()[:8] for digest in trees}
        root.mkdir(parents=True, exist_ok=True)
        for digest, tree in trees.items():
            image = root / f"{self._names[digest]}.erofs"
            subprocess.run(["mkfs.erofs", image, tree], check=True, capture_output=True)

    async def provide(self, request: LayerRequest) -> LayerMount | None:
        self.requests.append(request)
        if self.hang:
            await asyncio.Event().wait()
        if self.failure:
            raise self.failure
        layer = self._names.get(request.layer_digest)
        if layer is None:
            return None
        await self.ensure(layer)
        return LayerMount(layer, SIZE, INODES)

    def withdraw(self, stand_in: str) -> None:
        raise AssertionError("there are no stand-ins")

    async def release(self, layer: str) -> None:
        async with self._lock:
            await asyncio.to_thread(self._unmount, layer)
        self.released.append(layer)

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        """Return none: there is only one form of these layers."""
        return {}

    def path(self, layer: str) -> Path:
        return self.root / layer

    async def ensure(self, layer: str) -> None:
        if self.broken:
            raise self.broken
        if layer not in self._names.values():
            raise RemoteError(f"layer {layer} is unknown")
        async with self._lock:
            await asyncio.to_thread(self._mount, layer)

    def mounted(self) -> set[str]:
        """Names of the layers that are mounted."""
        return {path.name for path in self.root.iterdir() if path.is_mount()}

    def unmount_all(self) -> None:
        """Do what a reboot does."""
        for layer in self.mounted():
            self._unmount(layer)

    def _mount(self, layer: str) -> None:
        target = self.path(layer)
        target.mkdir(exist_ok=True)
        if not target.is_mount():
            command = [
                "mount",
                "-t",
                "erofs",
                "-o",
                "ro,loop",
                str(self.root / f"{layer}.erofs"),
                str(target),
            ]
            subprocess.run(command, check=True, capture_output=True)

    def _unmount(self, layer: str) -> None:
        if self.path(layer).is_mount():
            subprocess.run(["umount", self.path(layer)], check=True, capture_output=True)
