"""Makes an image that names its indexes: the same layers, with annotations, under another tag.

The digest of such an image vouches for its indexes as well as for its layers. The image that it is
made of is not touched.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from bootseer.digests import digest_of
from bootseer.errors import NotFoundError
from snapshotter.images.artifact import IndexArtifact
from snapshotter.images.find import find_artifact
from snapshotter.images.publish import publish
from snapshotter.images.resolve import resolve
from snapshotter.images.trust import PIN
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.reference import Reference


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """The image that was made."""

    reference: Reference
    """Its tag and digest."""
    layers: int
    """How many of its layers name their index."""


async def pin_image(
    client: RegistryClient, reference: Reference, platform: Platform, tag: str
) -> PinnedImage:
    """Push an image of one platform whose layers name their newest indexes, and its artifact.

    Raises:
        NotFoundError, RemoteError: the registry; also if the image has no index.
        CorruptError: the image is not what its digest says.
    """
    image = await resolve(client, reference, platform)
    found = await find_artifact(client, image.reference, image.digest)
    if found is None or not found.artifact.layers:
        raise NotFoundError(
            f"{reference} has no published index", hint=f"bootseer image index {reference}"
        )
    data = annotated(image.raw, found.artifact)
    digest = digest_of(data)
    pinned = replace(reference, tag=tag, digest=digest)
    media_type = image.manifest.media_type
    await client.manifests.put(pinned, digest, media_type, data)
    subject = Descriptor(media_type, digest, len(data))
    artifact = replace(found.artifact, subject=subject, signatures=())
    await publish(client, pinned, artifact)
    await client.manifests.put(pinned, tag, media_type, data)
    return PinnedImage(pinned, len(found.artifact.layers))


def annotated(manifest: bytes, artifact: IndexArtifact) -> bytes:
    """Return an image's manifest, which was parsed before, with the layers' indexes in it."""
    document: dict[str, Any] = json.loads(manifest)
    for layer in document["layers"]:
        if entry := artifact.layer(layer["digest"]):
            layer["annotations"] = {**(layer.get("annotations") or {}), PIN: entry.index.digest}
    return json.dumps(document, separators=(",", ":")).encode()
