"""The cache as documents, for people and tools. Pure."""

from collections.abc import Sequence
from typing import Any

from snapshotter.caching.keeping import Measured
from snapshotter.caching.plan import Bounds, CachedLayer, Hold


def describe(measured: Measured, bounds: Bounds) -> dict[str, Any]:
    """Return what is in the cache, least recently used first. Sizes in bytes, times since 1970."""
    pairs = sorted(zip(measured.layers, measured.found, strict=True), key=lambda p: p[0].used)
    return {
        "bytes": measured.size,
        "unused_bytes": sum(one.size for one in measured.layers if one.hold is Hold.NOTHING),
        "bounds": {
            "bytes": bounds.size or None,
            "unused_free_bytes": int(bounds.spare * measured.disk.total),
            "least_free_bytes": int(bounds.least_free * measured.disk.total),
        },
        "disk": {"bytes": measured.disk.total, "free_bytes": measured.disk.free},
        "layers": [
            _layer(layer)
            | {
                "digest": found.record.layer_digest if found.record else None,
                "image": found.record.sources[0] if found.record and found.record.sources else None,
                "data_bytes": found.record.size if found.record else None,
                "local": found.record.local if found.record else False,
            }
            for layer, found in pairs
        ],
    }


def removed(layers: Sequence[CachedLayer]) -> dict[str, Any]:
    """Return what was removed, or would be."""
    return {"bytes": sum(layer.size for layer in layers), "layers": [_layer(one) for one in layers]}


def _layer(layer: CachedLayer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "bytes": layer.size,
        "used": round(layer.used, 3),
        "hold": layer.hold.value,
    }
