"""Makes an image whose layers can be read at random out of one whose layers cannot.

Layers of large zstd frames are compressed anew in small ones; their contents, and with them the
image's configuration, stay what they are. Nothing is sent before all of them are checked, and the
tag comes last, after the index of the new image. The image that it is made of is not touched.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootseer.digests import digest_of
from bootseer.errors import UsageError
from bootseer.together import together
from snapshotter.images.converted import converted_layer, converted_manifest
from snapshotter.images.convertible import JudgedLayer, judge_layers
from snapshotter.images.indexing import IndexedImage, IndexingPolicy, index_image
from snapshotter.images.layer_indexing import Progress
from snapshotter.images.resolve import ResolvedImage, resolve
from snapshotter.images.spooling import spool_copy, spool_reframed
from snapshotter.layers.reframe import LEVEL
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.manifests import RawManifest
from snapshotter.registry.reference import Reference

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConversionPolicy:
    """How images are converted."""

    scratch: Path
    """An empty directory with room for the layers that are sent."""
    level: int = LEVEL
    """Of compression (zstd)."""
    parallel: int = 2
    """Layers at a time."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is to be done to an image."""

    image: ResolvedImage
    layers: Sequence[JudgedLayer]
    """The distinct ones, bottom first."""


@dataclass(frozen=True, slots=True)
class ConvertedLayer:
    """A layer that was compressed anew."""

    descriptor: Descriptor
    frames: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ConvertedImage:
    """The image that was made."""

    reference: Reference
    """Its tag and digest."""
    raw: RawManifest
    layers: Mapping[str, ConvertedLayer]
    """By the digests that they had."""


LayerProgress = Callable[[Descriptor, int, str], None]
"""Gets a layer, how many of its bytes are done, and what is being done. On the event loop."""


def check_target(reference: Reference, target: Reference) -> None:
    """Raise `UsageError` unless `target` may name what is made of `reference`."""
    if target.digest:
        raise UsageError(f"{target} has a digest, which is not known yet", hint="give a tag")
    if (target.name, target.tag) == (reference.name, reference.tag):
        raise UsageError(f"{target} would take the place of the image", hint="give another tag")


async def plan_conversion(
    client: RegistryClient, reference: Reference, platform: Platform, parallel: int
) -> Conversion:
    """Return what would be done to an image.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: image or layers are not what they should be.
    """
    image = await resolve(client, reference, platform)
    return Conversion(image, await judge_layers(client, image, parallel))


async def push_converted(
    client: RegistryClient,
    conversion: Conversion,
    target: Reference,
    policy: ConversionPolicy,
    progress: LayerProgress,
) -> ConvertedImage:
    """Convert, and push all of the new image but its tag.

    Raises:
        NotFoundError, RemoteError: a registry.
        CorruptError: a layer is not what its digest or the configuration says; nothing is sent.
        HostError: there is no room for the layers.
    """
    image = conversion.image
    made = await _reframe(client, conversion, policy, progress)
    layers = {old: one.descriptor for old, one in made.items()}
    kept = [judged.layer for judged in conversion.layers if not judged.convert]
    copied = await _take_over(client, image.reference, target, kept, policy, progress)
    sent = {layer.digest: layer for layer in (*layers.values(), *copied)}
    for descriptor in sent.values():
        progress(descriptor, descriptor.size, "pushing")
        path = _file(policy, descriptor)
        await client.uploads.put_file(target, path, descriptor.digest)
        path.unlink()
    await client.uploads.put(target, image.raw_config, image.manifest.config.digest)
    data = converted_manifest(image.raw, layers)
    raw = RawManifest(digest_of(data), image.manifest.media_type, data)
    await client.manifests.put(target, raw.digest, raw.media_type, raw.data)
    fields = {"image": image.digest, "converted": raw.digest, "layers": len(made)}
    log.info("image.converted", extra={"fields": fields})
    return ConvertedImage(target.at(raw.digest), raw, made)


async def publish_converted(
    client: RegistryClient,
    conversion: Conversion,
    converted: ConvertedImage,
    indexing: IndexingPolicy | None,
    progress: Callable[[Progress], None],
) -> IndexedImage | None:
    """Index the image that was made, unless there is no policy for it, and give it its tag.

    Raises:
        NotFoundError, RemoteError: the registry.
        CorruptError: a layer is no layer.
    """
    indexed = None
    if indexing is not None:
        platform = conversion.image.config.platform
        indexed = await index_image(client, converted.reference, platform, indexing, progress)
    raw, tag = converted.raw, converted.reference.tag or "latest"
    await client.manifests.put(converted.reference, tag, raw.media_type, raw.data)
    return indexed


async def _reframe(
    client: RegistryClient,
    conversion: Conversion,
    policy: ConversionPolicy,
    progress: LayerProgress,
) -> dict[str, ConvertedLayer]:
    """Return the layers that were compressed anew, each in a file, by the digests they had."""
    reference = conversion.image.reference

    async def one(judged: JudgedLayer) -> ConvertedLayer:
        began = time.monotonic()
        layer, unfinished = judged.layer, policy.scratch / f"{judged.layer.digest[7:]}.new"
        done = await spool_reframed(
            client,
            reference,
            layer,
            judged.diff_id,
            unfinished,
            policy.level,
            lambda position: progress(layer, position, "converting"),
        )
        descriptor = converted_layer(layer, done)
        unfinished.rename(_file(policy, descriptor))
        return ConvertedLayer(descriptor, done.frames, time.monotonic() - began)

    wanted = [judged for judged in conversion.layers if judged.convert]
    made = await together(one, wanted, policy.parallel)
    return {judged.layer.digest: new for judged, new in zip(wanted, made, strict=True)}


async def _take_over(
    client: RegistryClient,
    source: Reference,
    target: Reference,
    layers: Sequence[Descriptor],
    policy: ConversionPolicy,
    progress: LayerProgress,
) -> Sequence[Descriptor]:
    """See to it that layers get where they go as they are; return those that have to be sent.

    These are in files then. The registry has the others, or took them over from the source.
    """
    if source.name == target.name:
        return ()

    async def one(layer: Descriptor) -> Descriptor | None:
        if source.host == target.host and await client.uploads.mount(target, source, layer.digest):
            return None
        await spool_copy(
            client,
            source,
            layer,
            _file(policy, layer),
            lambda position: progress(layer, position, "copying"),
        )
        return layer

    copied = await together(one, layers, policy.parallel)
    return [layer for layer in copied if layer is not None]


def _file(policy: ConversionPolicy, layer: Descriptor) -> Path:
    """Return where a layer lies until it is sent."""
    return policy.scratch / layer.digest.removeprefix("sha256:")
