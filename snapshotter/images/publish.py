"""Publishes an index artifact next to its image."""

from snapshotter.images.artifact import ARTIFACT_TYPE, CREATED, IndexArtifact, build
from snapshotter.images.referring import Subject
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
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
    subject = Subject(client, reference, artifact.subject.digest, "index")
    created = {CREATED: artifact.created.isoformat()}
    return await subject.publish(ARTIFACT_TYPE, build(artifact), created)
