"""Signs an image's newest index artifact: a copy of it with one signature more takes its place."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Final

from bootseer.errors import NotFoundError
from snapshotter.images.find import find_artifact
from snapshotter.images.keys import PrivateKey
from snapshotter.images.publish import publish
from snapshotter.images.resolve import resolve
from snapshotter.images.trust import signed_message
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Platform
from snapshotter.registry.reference import Reference

_TICK: Final = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SignedImage:
    """What was signed."""

    image_digest: str
    artifact_digest: str


async def sign_image(
    client: RegistryClient, reference: Reference, platform: Platform, key: PrivateKey
) -> SignedImage:
    """Sign the newest index artifact of an image, and publish it next to the image.

    Who signs vouches for what the artifact says: whoever has not made it himself makes it anew
    first, from the layers (`bootseer image index --again`).

    Raises:
        NotFoundError, RemoteError: the registry; also if the image has no index.
        CorruptError: the image is not what its digest says.
    """
    image = await resolve(client, reference, platform)
    found = await find_artifact(client, image.reference, image.digest)
    if found is None:
        raise NotFoundError(
            f"{reference} has no published index", hint=f"bootseer image index {reference}"
        )
    # Newer than what it takes the place of, whatever the clocks say.
    created = max(dt.datetime.now(dt.UTC), found.artifact.created + _TICK)
    unsigned = replace(found.artifact, created=created, signatures=())
    signed = replace(unsigned, signatures=(key.sign(signed_message(unsigned)),))
    published = await publish(client, image.reference, signed)
    return SignedImage(image.digest, published.digest)
