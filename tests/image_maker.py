"""Small images for tests: layers out of tar members, pushed with our own client."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import zstandard

from bootseer.digests import digest_of
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from snapshotter.registry.reference import Reference

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class MadeLayer:
    """A layer as it is pushed."""

    blob: bytes
    diff_id: str
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of its descriptor."""

    @property
    def digest(self) -> str:
        """Digest of the blob."""
        return digest_of(self.blob)


@dataclass(frozen=True)
class MadeImage:
    """An image as it was pushed."""

    reference: Reference
    digest: str
    manifest: bytes
    layers: tuple[MadeLayer, ...]


def file_member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a tar member: a regular file unless `fields` (of TarInfo) say otherwise."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for name_of, value in fields.items():
        setattr(member, name_of, value)
    return member, data


def tar_of(members: Mapping[str, bytes] | Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a tar of plain files by name, or of any members."""
    if isinstance(members, Mapping):
        members = [file_member(name, data) for name, data in members.items()]
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return output.getvalue()


def layer_of(
    members: Mapping[str, bytes] | Sequence[tuple[tarfile.TarInfo, bytes]] | bytes,
    compression: str = "gzip",
    *,
    docker: bool = False,
) -> MadeLayer:
    """Return a layer of members, or of a tar; `compression` is gzip, zstd or none."""
    tar = members if isinstance(members, bytes) else tar_of(members)
    blob = {
        "gzip": lambda: gzip.compress(tar, mtime=0),
        "zstd": lambda: zstandard.compress(tar),
        "none": lambda: tar,
    }[compression]()
    suffix = "" if compression == "none" else f"+{compression}"
    return MadeLayer(blob, digest_of(tar), DOCKER_LAYER if docker else OCI_LAYER + suffix)


def descriptor(media_type: str, data: bytes, **members: Any) -> dict[str, Any]:
    """Return a descriptor of `data`, as JSON."""
    document = {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
    return document | members


def documents(
    layers: Sequence[MadeLayer], *, docker: bool = False, architecture: str = "amd64"
) -> tuple[bytes, bytes]:
    """Return the configuration and the manifest of an image of these layers."""
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
        "config": descriptor(DOCKER_CONFIG if docker else OCI_CONFIG, config),
        "layers": [_layer(layer) for layer in layers],
    }
    return config, json.dumps(manifest).encode()


def _layer(layer: MadeLayer) -> dict[str, Any]:
    annotations = {"annotations": dict(layer.annotations)} if layer.annotations else {}
    return descriptor(layer.media_type, layer.blob, **annotations)


async def push_image(
    client: RegistryClient,
    reference: Reference,
    layers: Sequence[MadeLayer],
    *,
    docker: bool = False,
    architecture: str = "amd64",
) -> MadeImage:
    """Push an image under the reference's tag."""
    config, manifest = documents(layers, docker=docker, architecture=architecture)
    for blob in (config, *(layer.blob for layer in layers)):
        await client.uploads.put(reference, blob)
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    pushed = await client.manifests.put(reference, reference.target, media_type, manifest)
    return MadeImage(reference, pushed.digest, manifest, tuple(layers))


async def push_index(
    client: RegistryClient, reference: Reference, images: Mapping[str, MadeImage]
) -> str:
    """Push an image index of images by platform (`linux/amd64`); return its digest."""
    entries = []
    for platform, image in images.items():
        names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        entries.append(descriptor(OCI_MANIFEST, image.manifest, platform=names))
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    data = json.dumps(document).encode()
    await client.manifests.put(reference, reference.target, OCI_INDEX, data)
    return digest_of(data)
