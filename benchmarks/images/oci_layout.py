"""An image as a directory (OCI image specification, "Image Layout"): blobs, index, marker file."""

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bootseer.errors import HostError

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as it lies in the layout. Sizes in bytes."""

    created_by: str
    digest: str
    size: int
    diff_id: str
    unpacked: int


class _Hashing:
    """A sink that digests what passes on to `target`."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._target.write(data)


class OciLayout:
    """Writes one image into the directory `root`: layers from bottom to top, then `finish`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers: list[Layer] = []
        self._blobs = root / "blobs" / "sha256"
        self._blobs.mkdir(parents=True, exist_ok=True)

    def add_layer(self, created_by: str, write_tar: Callable[[IO[bytes]], int]) -> Layer:
        """Compress what `write_tar` writes with GNU gzip -6 and add it as the next layer.

        `write_tar` returns the unpacked size. Raises `HostError` when gzip fails.
        """
        partial = self._blobs / f"partial-{os.getpid()}"
        with partial.open("wb") as output:
            # -n: no name and no time in the header, so the same tar gives the same blob.
            gzip = subprocess.Popen(["gzip", "-6", "-n"], stdin=subprocess.PIPE, stdout=output)
            try:
                assert gzip.stdin is not None  # asked for above
                hashing = _Hashing(gzip.stdin)
                unpacked = write_tar(hashing)  # type: ignore[arg-type]
                gzip.stdin.close()
            except BaseException:
                gzip.kill()
                raise
            finally:
                gzip.wait()
        if gzip.returncode != 0:
            raise HostError(f"gzip failed with {gzip.returncode}", hint="is the disk full?")
        digest, size = _digest_file(partial)
        partial.rename(self._blobs / digest.removeprefix("sha256:"))
        layer = Layer(created_by, digest, size, f"sha256:{hashing.sha256.hexdigest()}", unpacked)
        self.layers.append(layer)
        return layer

    def finish(self, *, name: str, architecture: str, config: dict[str, Any], created: str) -> str:
        """Write configuration, manifest and index; return the manifest's digest."""
        image_config = {
            "created": created,
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [{"created": created, "created_by": la.created_by} for la in self.layers],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._put_json(_CONFIG, image_config),
            "layers": [
                {"mediaType": _LAYER, "digest": layer.digest, "size": layer.size}
                for layer in self.layers
            ],
        }
        descriptor = self._put_json(_MANIFEST, manifest)
        descriptor["platform"] = {"architecture": architecture, "os": "linux"}
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": name}
        index = {"schemaVersion": 2, "manifests": [descriptor]}
        (self.root / "index.json").write_text(json.dumps(index))
        (self.root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return str(descriptor["digest"])

    def _put_json(self, media_type: str, value: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(value, separators=(",", ":")).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def layout_manifest(root: Path) -> dict[str, Any]:
    """Return the manifest of the first image in the layout `root`.

    Raises `HostError` where `root` is no image layout.
    """
    with contextlib.suppress(OSError, ValueError, LookupError):
        index = json.loads((root / "index.json").read_text())
        digest = index["manifests"][0]["digest"].removeprefix("sha256:")
        manifest = json.loads((root / "blobs" / "sha256" / digest).read_text())
        if isinstance(manifest, dict):
            return manifest
    raise HostError(f"no image layout in {root}", hint="remove the directory; it is built anew")


def lower_layers(image: Path, count: int, root: Path, name: str) -> None:
    """Make an image of another's lowest layers in `root`; blobs are hard links.

    Raises `HostError` where `image` is no image layout.
    """
    manifest = layout_manifest(image)
    blobs = image / "blobs" / "sha256"

    def blob(digest: str) -> Path:
        return blobs / digest.removeprefix("sha256:")

    config = json.loads(blob(manifest["config"]["digest"]).read_text())
    made = OciLayout(root)
    found = zip(manifest["layers"], config["rootfs"]["diff_ids"], config["history"], strict=True)
    for layer, diff_id, step in list(found)[:count]:
        source = blob(layer["digest"])
        (root / "blobs" / "sha256" / source.name).hardlink_to(source)
        own = Layer(step["created_by"], layer["digest"], layer["size"], diff_id, 0)
        made.layers.append(own)
    kept = {key: config["config"][key] for key in ("Env",) if key in config["config"]}
    made.finish(
        name=name, architecture=config["architecture"], config=kept, created=config["created"]
    )


def _digest_file(path: Path) -> tuple[str, int]:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            sha256.update(piece)
        return f"sha256:{sha256.hexdigest()}", file.tell()
