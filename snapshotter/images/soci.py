"""Finds the SOCI index of an image: the zTOCs of its layers, as an OCI manifest.

Version 2 is named by an annotation of the image's manifest, so whoever trusts the image trusts it.
Version 1 is an artifact that refers to the image, pushed by whoever may push.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from bootseer.digests import is_digest
from bootseer.documents import Node
from snapshotter.images.manifest import ImageManifest, parse_manifest
from snapshotter.images.referring import Subject
from snapshotter.limits import Limits
from snapshotter.ports import IndexKind, PublishedIndex
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import RawManifest
from snapshotter.registry.reference import Reference

V1: Final = "application/vnd.amazon.soci.index.v1+json"
V2: Final = "application/vnd.amazon.soci.index.v2+json"
"""Artifact types; without one, the type of the configuration counts."""
ZTOC: Final = "application/octet-stream"
OF_LAYER: Final = "com.amazon.soci.image-layer-digest"
"""Annotation of a zTOC: the layer it is of."""
INDEX_DIGEST: Final = "com.amazon.soci.index-digest"
"""Annotation of an image's manifest: its index of version 2."""


async def find_soci(
    client: RegistryClient, reference: Reference, manifest_digest: str, image: ImageManifest
) -> Mapping[str, PublishedIndex]:
    """Return the zTOCs of an image's layers; `image` is what `manifest_digest` names.

    Raises:
        RemoteError: the registry cannot say.
    """
    limits = client.settings.limits
    subject = Subject(client, reference, manifest_digest, "soci")
    named = image.annotations.get(INDEX_DIGEST, "")
    if is_digest(named):
        listed = Descriptor("", named, 0)
        index = await subject.fetch(listed, partial(_parse, wanted=V2, subject="", limits=limits))
        return _ztocs(index, image, limits, vouched=True) if index else {}
    for listed in (await subject.list(V1))[: limits.artifacts]:
        index = await subject.fetch(
            listed, partial(_parse, wanted=V1, subject=manifest_digest, limits=limits)
        )
        if index:
            return _ztocs(index, image, limits, vouched=False)
    return {}


def _parse(raw: RawManifest, wanted: str, subject: str, limits: Limits) -> ImageManifest:
    """Return a SOCI index. Raises `CorruptError` if it is none, or of another image."""
    manifest = parse_manifest(raw, limits)
    root = Node(None, f"SOCI index {raw.digest}")
    if not isinstance(manifest, ImageManifest) or wanted not in (
        manifest.artifact_type,
        manifest.config.media_type,
    ):
        raise root.wrong(f"not of type {wanted}")
    if subject and (manifest.subject is None or manifest.subject.digest != subject):
        raise root.wrong(f"it is not of image {subject}")
    return manifest


def _ztocs(
    index: ImageManifest, image: ImageManifest, limits: Limits, *, vouched: bool
) -> Mapping[str, PublishedIndex]:
    sizes = {layer.digest: layer.size for layer in image.layers}
    return {
        layer: PublishedIndex(
            ztoc.digest, ztoc.size, IndexKind.SOCI, 0, sizes[layer], vouched=vouched
        )
        for ztoc in index.layers
        if (layer := ztoc.annotations.get(OF_LAYER, "")) in sizes
        and ztoc.media_type == ZTOC
        and 0 < ztoc.size <= limits.index
    }
