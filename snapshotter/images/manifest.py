"""Image manifests, image indexes and image configurations, parsed with bounds. Pure.

OCI image specification v1.1 and Docker image manifest version 2, schema 2; of each only what
Bootseer needs.
"""

from dataclasses import dataclass, field
from typing import Final

from bootseer.documents import Node, parse_document
from bootseer.errors import CorruptError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.descriptors import Descriptor, Platform, parse_descriptor
from snapshotter.registry.manifests import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    RawManifest,
)

_INDEXES: Final = frozenset({OCI_INDEX, DOCKER_INDEX})
_MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_VAGUE: Final = frozenset({"", "application/json", "text/plain", "application/octet-stream"})
"""Content types of registries that do not know what they serve."""


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """A manifest of one image, or of an artifact."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    """Bottom layer first."""
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """A list of manifests, one for each platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image's configuration says of its layers."""

    platform: Platform
    diff_ids: tuple[str, ...]
    """Digests of the uncompressed layers, bottom first."""


def parse_manifest(raw: RawManifest, limits: Limits = DEFAULT) -> ImageManifest | ImageIndex:
    """Return what a manifest says.

    Content type and contents must agree: what could be read both as an image and as an index
    would be different images to different readers (CVE-2021-41190).

    Raises:
        CorruptError: it is malformed, contradicts itself or exceeds a limit.
    """
    root = parse_document(raw.data, f"manifest {raw.digest}", limits.manifest)
    media_type = _media_type(root, raw.media_type)
    if root.required("schemaVersion").integer(1, 2) == 1:
        raise root.wrong("image manifest schema 1 is not supported")
    if media_type in _INDEXES:
        for name in ("config", "layers"):
            if root.optional(name):
                raise root.wrong(f"an image index with '{name}'")
        entries = root.required("manifests").items(limits.manifests)
        return ImageIndex(media_type, tuple(parse_descriptor(e, limits.manifest) for e in entries))
    if root.optional("manifests"):
        raise root.wrong("an image manifest with 'manifests'")
    return _image(root, media_type, limits)


def _media_type(root: Node, received: str) -> str:
    """Return which of the four media types the document has."""
    node = root.optional("mediaType")
    stated = node.string() if node else ""
    if stated and received not in _VAGUE and stated != received:
        raise root.wrong(f"mediaType {stated!a} was sent as {received!a}")
    media_type = stated or ("" if received in _VAGUE else received)
    if not media_type:  # OCI makes the member optional
        media_type = OCI_INDEX if root.optional("manifests") else OCI_MANIFEST
    if media_type not in _INDEXES | _MANIFESTS:
        raise root.wrong(f"media type {media_type[:100]!a} is neither image nor image index")
    return media_type


def _image(root: Node, media_type: str, limits: Limits) -> ImageManifest:
    subject = root.optional("subject")
    annotations = root.optional("annotations")
    artifact_type = root.optional("artifactType")
    layers = root.required("layers").items(limits.layers)
    return ImageManifest(
        media_type=media_type,
        config=parse_descriptor(root.required("config")),
        layers=tuple(parse_descriptor(layer, limits.layer) for layer in layers),
        artifact_type=artifact_type.string() if artifact_type else "",
        subject=parse_descriptor(subject, limits.manifest) if subject else None,
        annotations=annotations.strings() if annotations else {},
    )


def parse_config(data: bytes, digest: str, layers: int, limits: Limits = DEFAULT) -> ImageConfig:
    """Return what an image configuration says; `layers` is how many the manifest has.

    Raises:
        CorruptError: it is malformed, or is not of this many layers.
    """
    root = parse_document(data, f"image configuration {digest}", limits.config)
    rootfs = root.required("rootfs")
    if rootfs.required("type").string() != "layers":
        raise rootfs.wrong("its type is not 'layers'")
    ids = rootfs.optional("diff_ids")
    diff_ids = tuple(item.digest() for item in ids.items(limits.layers)) if ids else ()
    if len(diff_ids) != layers:
        raise CorruptError(
            f"image configuration {digest}: {len(diff_ids)} diff_ids for {layers} layers"
        )
    return ImageConfig(_platform(root), diff_ids)


def _platform(root: Node) -> Platform:
    names = [root.optional(name) for name in ("os", "architecture", "variant")]
    return Platform(*(node.string(255) if node else "" for node in names))
