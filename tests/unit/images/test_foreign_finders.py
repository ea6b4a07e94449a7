"""Whose indexes a layer is served by: found in manifests and referrers, in order, if believed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bootseer.config import IndexSource
from bootseer.digests import digest_of
from snapshotter.images.indexing import index_image
from snapshotter.images.published import PublishedImages
from snapshotter.images.soci import INDEX_DIGEST, OF_LAYER, V1, V2, ZTOC
from snapshotter.images.tocs import ESTARGZ_DIGEST
from snapshotter.images.trust import Policy, Trust, TrustRules
from snapshotter.ports import IndexKind
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.manifests import OCI_MANIFEST
from tests.hostile_fixtures import client, registry
from tests.hostile_registry import HostileRegistry
from tests.image_maker import MadeImage, MadeLayer, descriptor, documents, layer_of, push_image

__all__ = ["client", "registry"]

AMD64 = Platform("linux", "amd64")
TOC = {ESTARGZ_DIGEST: digest_of(b"a table")}
CHUNKED = {
    "io.github.containers.zstd-chunked.manifest-checksum": digest_of(b"another table"),
    "io.github.containers.zstd-chunked.manifest-position": "20:30:40:1",
}
ZTOC_BYTES = b"a zTOC"


def layer(annotations: Mapping[str, str] = {}, compression: str = "gzip") -> MadeLayer:
    made = layer_of({"a": b"a" * 5000}, compression)
    return MadeLayer(made.blob, made.diff_id, made.media_type, annotations)


def soci(of: str, kind: str, **members: Any) -> bytes:
    """Return a SOCI index with one zTOC."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(kind, b"{}"),
        "layers": [descriptor(ZTOC, ZTOC_BYTES, annotations={OF_LAYER: of})],
    }
    return json.dumps(document | members).encode()


async def refer(client: RegistryClient, image: MadeImage, index: bytes) -> None:
    """Push a SOCI index of version 1 as a referrer of an image."""
    await client.manifests.put(image.reference, digest_of(index), OCI_MANIFEST, index)
    listed = Descriptor(OCI_MANIFEST, digest_of(index), len(index), artifact_type=V1)
    await client.referrers.announce(image.reference, image.digest, listed)


def subject(image: MadeImage) -> dict[str, Any]:
    return descriptor(OCI_MANIFEST, image.manifest)


async def kind_of(
    client: RegistryClient,
    image: MadeImage,
    sources: Sequence[IndexSource] = ("toc", "soci"),
    **more: Any,
) -> IndexKind | None:
    """Return by which format an image's only layer is served."""
    images = PublishedImages(client, sources=sources, **more)
    asked = (str(image.reference), image.digest)
    found = await images.index_of(*asked, image.layers[0].digest)
    assert (await images.indexes_of(*asked)).get(image.layers[0].digest) == found
    return found.kind if found else None


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (layer(TOC), IndexKind.ESTARGZ),
        (layer(CHUNKED, "zstd"), IndexKind.ZSTD_CHUNKED),
        (layer(TOC | CHUNKED, "zstd"), IndexKind.ZSTD_CHUNKED),
        (layer(TOC, "zstd"), None),
        (layer({ESTARGZ_DIGEST: "sha256:0"}), None),
        (layer(), None),
    ],
)
async def test_a_table_counts_whose_digest_the_manifest_names(
    client: RegistryClient, registry: HostileRegistry, made: MadeLayer, kind: IndexKind | None
) -> None:
    image = await push_image(client, registry.reference(), [made])
    assert await kind_of(client, image) == kind


async def test_the_first_source_that_has_an_index_is_taken(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    image = await push_image(client, registry.reference(), [layer(TOC)])
    await refer(client, image, soci(image.layers[0].digest, V1, subject=subject(image)))
    await index_image(client, image.reference, AMD64)
    assert await kind_of(client, image, ("bootseer", "toc", "soci")) is IndexKind.BOOTSEER
    assert await kind_of(client, image, ("soci", "toc", "bootseer")) is IndexKind.SOCI
    assert await kind_of(client, image, ("toc", "bootseer")) is IndexKind.ESTARGZ
    assert await kind_of(client, image, ()) is None


@pytest.mark.parametrize("wrong", ["another image", "another type", "no manifest"])
async def test_a_soci_index_that_is_of_something_else_is_passed_over(
    client: RegistryClient, registry: HostileRegistry, wrong: str
) -> None:
    image = await push_image(client, registry.reference(), [layer()])
    of = image.layers[0].digest
    indexes = {
        "another image": soci(of, V1, subject=descriptor(OCI_MANIFEST, b"other")),
        "another type": soci(of, "application/x", subject=subject(image)),
        "no manifest": b'{"schemaVersion": 1, "config": {"mediaType": ""}}',
    }
    await refer(client, image, indexes[wrong])
    assert await kind_of(client, image) is None


async def test_ztocs_of_layers_that_the_image_does_not_have_are_passed_over(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    image = await push_image(client, registry.reference(), [layer()])
    await refer(client, image, soci(digest_of(b"no layer"), V1, subject=subject(image)))
    assert await kind_of(client, image) is None


async def push_converted(client: RegistryClient, registry: HostileRegistry) -> MadeImage:
    """Push an image that names its SOCI index, as `soci convert` makes it."""
    made = [layer()]
    reference = registry.reference()
    index = soci(made[0].digest, V2)
    await client.manifests.put(reference, digest_of(index), OCI_MANIFEST, index)
    config, manifest = documents(made)
    annotated = json.loads(manifest) | {"annotations": {INDEX_DIGEST: digest_of(index)}}
    data = json.dumps(annotated).encode()
    for blob in (config, made[0].blob):
        await client.uploads.put(reference, blob)
    pushed = await client.manifests.put(reference, reference.target, OCI_MANIFEST, data)
    return MadeImage(reference, pushed.digest, data, tuple(made))


async def test_indexes_that_the_manifest_vouches_for_are_believed_where_others_are_not(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    converted = await push_converted(client, registry)
    referred = await push_image(client, registry.reference(), [layer()])
    await refer(client, referred, soci(referred.layers[0].digest, V1, subject=subject(referred)))
    with_table = await push_image(client, registry.reference(), [layer(TOC)])
    believed = {
        policy: [
            await kind_of(client, image, trust=TrustRules(Trust(policy)))
            for image in (converted, referred, with_table)
        ]
        for policy in Policy
    }
    vouched = [IndexKind.SOCI, None, IndexKind.ESTARGZ]
    assert believed == {
        Policy.ANY: [IndexKind.SOCI, IndexKind.SOCI, IndexKind.ESTARGZ],
        Policy.SIGNED: vouched,
        Policy.PINNED: vouched,
        Policy.LOCAL: [None, None, None],
    }
