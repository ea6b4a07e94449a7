"""Reference -> image of one platform: manifest, configuration, layers."""

from dataclasses import dataclass, field

from bootseer.errors import CorruptError, NotFoundError
from snapshotter.images.manifest import ImageConfig, ImageManifest, parse_config, parse_manifest
from snapshotter.images.platforms import choose
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.manifests import RawManifest
from snapshotter.registry.reference import Reference


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """An image as its registry has it, every digest checked."""

    reference: Reference
    """Pinned to the manifest."""
    digest: str
    """Of the manifest (of one platform, never of an image index)."""
    raw: bytes = field(repr=False)
    manifest: ImageManifest
    config: ImageConfig
    raw_config: bytes = field(repr=False, default=b"")

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """Bottom layer first. A layer may be there several times."""
        return self.manifest.layers

    @property
    def distinct(self) -> dict[str, tuple[Descriptor, str]]:
        """Each layer once, bottom first, with the digest of its contents, by its own digest."""
        pairs = zip(self.layers, self.config.diff_ids, strict=True)
        return {layer.digest: (layer, diff_id) for layer, diff_id in pairs}

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor."""
        return Descriptor(self.manifest.media_type, self.digest, len(self.raw))


async def resolve(
    client: RegistryClient, reference: Reference, platform: Platform
) -> ResolvedImage:
    """Return the image that a reference names, of `platform` if there are several.

    Raises:
        NotFoundError: there is no such image, or not for this platform.
        RemoteError: the registry fails.
        CorruptError: manifest or configuration are not what they should be.
    """
    raw, manifest = await _image_manifest(client, reference, platform)
    config = manifest.config
    limits = client.settings.limits
    if config.size > limits.config:
        raise CorruptError(f"image configuration {config.digest}: {config.size} bytes are too many")
    data = await client.blobs.get(reference, config.digest, limits.config)
    return ResolvedImage(
        reference=reference.at(raw.digest),
        digest=raw.digest,
        raw=raw.data,
        manifest=manifest,
        config=parse_config(data, config.digest, len(manifest.layers), limits),
        raw_config=data,
    )


async def _image_manifest(
    client: RegistryClient, reference: Reference, platform: Platform
) -> tuple[RawManifest, ImageManifest]:
    """Walk from index to index to the platform's manifest."""
    limits = client.settings.limits
    raw = await client.manifests.get(reference)
    for _ in range(limits.index_depth + 1):
        manifest = parse_manifest(raw, limits)
        if isinstance(manifest, ImageManifest):
            return raw, manifest
        entry = choose(manifest.manifests, platform)
        if entry is None:
            offered = sorted({str(e.platform) for e in manifest.manifests if e.platform})
            raise NotFoundError(
                f"{reference} has no image for {platform}",
                hint=f"it has {', '.join(offered[:10]) or 'none'}",
            )
        raw = await client.manifests.get(reference, entry.digest)
    raise CorruptError(f"{reference}: more than {limits.index_depth} image indexes in each other")
