"""The manifest of an image some of whose layers were compressed anew. Pure."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from snapshotter.images.tocs import ESTARGZ_DIGEST
from snapshotter.images.trust import PIN
from snapshotter.layers.foreign import chunked
from snapshotter.layers.reframe import Reframed
from snapshotter.registry.descriptors import Descriptor

ZSTD_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+zstd"

_OF_THE_BLOB: Final = (PIN, ESTARGZ_DIGEST, *chunked.PREFIXES)
"""Beginnings of annotations that speak of the bytes of a layer as they were."""


def converted_layer(layer: Descriptor, made: Reframed) -> Descriptor:
    """Return the descriptor of a layer that was compressed anew.

    The media type stays where it says that the layer is zstd: it may say more, such as that the
    layer is not to be distributed.
    """
    return replace(
        layer,
        media_type=layer.media_type if layer.media_type.endswith("zstd") else ZSTD_LAYER,
        digest=made.digest,
        size=made.size,
        annotations={
            name: value
            for name, value in layer.annotations.items()
            if not name.startswith(_OF_THE_BLOB)
        },
    )


def converted_manifest(manifest: bytes, layers: Mapping[str, Descriptor]) -> bytes:
    """Return an image's manifest, which was parsed before, with other layers in place of some.

    `layers`: by the digests that they replace; without any, the manifest stays what it is.
    """
    if not layers:
        return manifest
    document: dict[str, Any] = json.loads(manifest)
    document["layers"] = [_replaced(layer, layers) for layer in document["layers"]]
    return json.dumps(document, separators=(",", ":")).encode()


def _replaced(layer: dict[str, Any], layers: Mapping[str, Descriptor]) -> dict[str, Any]:
    new = layers.get(layer["digest"])
    if new is None:
        return layer
    kept = {name: value for name, value in layer.items() if name not in ("annotations", "urls")}
    return kept | new.to_json()
