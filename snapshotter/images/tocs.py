"""Layers that bring their own table of contents, as their image's manifest says.

Only a table whose digest is in the manifest counts: whoever trusts the image trusts that.
"""

from collections.abc import Mapping
from typing import Final

from bootseer.digests import is_digest
from snapshotter.images.manifest import ImageManifest
from snapshotter.layers.foreign import chunked
from snapshotter.ports import IndexKind, PublishedIndex
from snapshotter.registry.descriptors import Descriptor

ESTARGZ_DIGEST: Final = "containerd.io/snapshot/stargz/toc.digest"
"""Annotation of an eStargz layer: the digest of its table of contents."""


def tocs_of(manifest: ImageManifest) -> Mapping[str, PublishedIndex]:
    """Return the tables that a manifest's descriptors name, by layer digest."""
    found = {layer.digest: _toc(layer) for layer in manifest.layers}
    return {digest: toc for digest, toc in found.items() if toc}


def _toc(layer: Descriptor) -> PublishedIndex | None:
    """Return where a layer's table is. What stargz-snapshotter makes of zstd has both marks."""
    if place := chunked.find(layer.annotations, layer.size):
        kind = IndexKind.ZSTD_CHUNKED
        return PublishedIndex(
            place.digest, place.size, kind, place.offset, layer.size, vouched=True
        )
    digest = layer.annotations.get(ESTARGZ_DIGEST, "")
    if is_digest(digest) and "zstd" not in layer.media_type and layer.size:
        return PublishedIndex(digest, 0, IndexKind.ESTARGZ, 0, layer.size, vouched=True)
    return None
