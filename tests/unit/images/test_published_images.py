"""The daemon's view of published indexes: one search for all who ask, believed for a while."""

import asyncio

import pytest

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, RemoteError, UsageError
from snapshotter.images.indexing import index_image
from snapshotter.images.published import PublishedImages
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Platform
from tests import hostile_registry as hostile
from tests.hostile_fixtures import client, registry
from tests.hostile_registry import QUICK, HostileRegistry
from tests.image_maker import MadeImage, layer_of, push_image

__all__ = ["client", "registry"]

AMD64 = Platform("linux", "amd64")


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def image(client: RegistryClient, registry: HostileRegistry) -> MadeImage:
    return await push_image(client, registry.reference(), [layer_of({"a": b"a" * 5000})])


async def asks(images: PublishedImages, image: MadeImage) -> bool:
    layer = image.layers[0].digest
    return await images.index_of(str(image.reference), image.digest, layer) is not None


async def test_the_referrers_api_is_used_where_there_is_one(
    client: RegistryClient, registry: HostileRegistry, image: MadeImage
) -> None:
    await index_image(client, image.reference, AMD64)
    assert await asks(PublishedImages(client), image)
    assert all("-" not in target for _, target in registry.manifests)  # no fallback tag


async def test_all_who_ask_at_once_share_one_search(
    client: RegistryClient, registry: HostileRegistry, image: MadeImage
) -> None:
    await index_image(client, image.reference, AMD64)
    images = PublishedImages(client)
    before = len(registry.asked("referrers"))
    assert all(await asyncio.gather(*(asks(images, image) for _ in range(20))))
    assert len(registry.asked("referrers")) == before + 1


async def test_who_gives_up_does_not_spoil_it_for_the_others(
    client: RegistryClient, registry: HostileRegistry, image: MadeImage
) -> None:
    await index_image(client, image.reference, AMD64)
    images = PublishedImages(client)
    first, second = (asyncio.create_task(asks(images, image)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_that_there_is_no_index_is_believed_for_a_short_while(
    client: RegistryClient, registry: HostileRegistry, image: MadeImage
) -> None:
    clock = Clock()
    images = PublishedImages(client, clock)
    assert not await asks(images, image)
    await index_image(client, image.reference, AMD64)
    assert not await asks(images, image)
    clock.now = 60
    assert await asks(images, image)
    clock.now = 120
    before = len(registry.seen)
    assert await asks(images, image)
    assert len(registry.seen) == before


async def test_nobody_is_asked_for_what_is_known_of_all_layers(
    client: RegistryClient, registry: HostileRegistry, image: MadeImage
) -> None:
    await index_image(client, image.reference, AMD64)
    registry.seen.clear()
    found = await PublishedImages(client).indexes_of(str(image.reference), image.digest)
    assert found.keys() == {image.layers[0].digest}
    assert len(registry.asked("referrers")) == 1


async def test_an_image_whose_manifest_is_gone_has_the_indexes_that_are_published(
    client: RegistryClient, registry: HostileRegistry, image: MadeImage
) -> None:
    await index_image(client, image.reference, AMD64)
    for key in [key for key, (_, data) in registry.manifests.items() if data == image.manifest]:
        del registry.manifests[key]
    found = await PublishedImages(client).indexes_of(str(image.reference), image.digest)
    assert found.keys() == {image.layers[0].digest}


async def test_a_failure_is_not_remembered(
    client: RegistryClient, registry: HostileRegistry, image: MadeImage
) -> None:
    await index_image(client, image.reference, AMD64)
    images = PublishedImages(client)
    registry.on("referrers", hostile.answers(503), times=QUICK.retries.attempts)
    with pytest.raises(RemoteError) as caught:
        await asks(images, image)
    assert caught.value.temporary
    assert await asks(images, image)


async def test_what_containerd_says_is_checked(client: RegistryClient) -> None:
    images = PublishedImages(client)
    good = digest_of(b"")
    for manifest, layer in ((good, "sha256:../x"), ("", good)):
        with pytest.raises(CorruptError):
            await images.index_of("r.io/a", manifest, layer)
    with pytest.raises(UsageError):
        await images.index_of("NO/../reference", good, good)
    with pytest.raises(UsageError):
        images.blobs("")
