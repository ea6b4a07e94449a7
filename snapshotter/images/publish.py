"""Publishes an index artifact next to its image."""

from dataclasses import replace

from snapshotter.images.artifact import (
    ARTIFACT_TYPE,
    CREATED,
    EMPTY,
    EMPTY_CONFIG,
    IndexArtifact,
    build,
)
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.digests import digest_of
from snapshotter.registry.manifests import OCI_MANIFEST
from snapshotter.registry.reference import Reference


async def publish(
    client: RegistryClient, reference: Reference, artifact: IndexArtifact
) -> Descriptor:
    """Push the artifact's manifest, list it as a referrer of its image, return its descriptor.

    The blobs it names must be there already. The image is not touched.

    Raises:
        NotFoundError, RemoteError: the registry refuses.
        CorruptError: the registry's list of referrers is malformed.
    """
    data = build(artifact)
    await client.uploads.put(reference, EMPTY, EMPTY_CONFIG.digest)
    descriptor = Descriptor(OCI_MANIFEST, digest_of(data), len(data), artifact_type=ARTIFACT_TYPE)
    pushed = await client.manifests.put(reference, descriptor.digest, OCI_MANIFEST, data)
    if pushed.subject != artifact.subject.digest:
        created = {CREATED: artifact.created.isoformat()}
        listed = replace(descriptor, annotations=created)
        await client.referrers.announce(reference, artifact.subject.digest, listed)
    return descriptor
