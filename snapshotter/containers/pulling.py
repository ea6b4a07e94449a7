"""What containerd is told of an image that is pulled without its layers. Pure.

The labels are those that containerd's own clients set (`containerd` `docs/garbage-collection.md`,
`pkg/snapshotters/annotations.go`, `core/unpack/unpacker.go`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from snapshotter.images.resolve import ResolvedImage
from snapshotter.limits import DEFAULT, Limits
from snapshotter.snapshots.labels import IMAGE, LAYER, LAYERS, MANIFEST, TARGET

_GC: Final = "containerd.io/gc.ref."
_SOURCE: Final = "containerd.io/distribution.source."


@dataclass(frozen=True, slots=True)
class Unpacking:
    """A layer that is to become a snapshot."""

    chain: str
    """Its chain ID: the name that the snapshot gets."""
    parent: str
    """The chain ID of the layer below; empty for the first."""
    labels: Mapping[str, str]


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """Return the chain ID of each layer (OCI image specification, "Layer ChainID")."""
    found: list[str] = []
    for diff in diff_ids:
        both = f"{found[-1]} {diff}".encode() if found else b""
        found.append(f"sha256:{hashlib.sha256(both).hexdigest()}" if both else diff)
    return found


def unpackings(
    image: ResolvedImage, reference: str, limits: Limits = DEFAULT
) -> Iterator[Unpacking]:
    """Yield an image's layers from the bottom up. `reference`: as whoever fetches is to name it."""
    digests = [layer.digest for layer in image.layers]
    below = ""
    for number, chain in enumerate(chain_ids(image.config.diff_ids)):
        labels = {
            TARGET: chain,
            IMAGE: reference,
            MANIFEST: image.digest,
            LAYER: digests[number],
            LAYERS: _fitting(digests[number:], limits.label - len(LAYERS)),
        }
        yield Unpacking(chain, below, labels)
        below = chain


def _fitting(digests: Sequence[str], most: int) -> str:
    """Return as many digests as fit, separated by commas: containerd cuts the list as well."""
    text = ""
    for digest in digests:
        longer = f"{text},{digest}" if text else digest
        if len(longer) > most:
            break
        text = longer
    return text


def manifest_labels(image: ResolvedImage) -> dict[str, str]:
    """Return the labels of a manifest: what garbage collection keeps for its sake."""
    layers = {f"{_GC}content.l.{number}": layer.digest for number, layer in enumerate(image.layers)}
    return {f"{_GC}content.config": image.manifest.config.digest, **layers, **_source(image)}


def config_labels(image: ResolvedImage, snapshotter: str) -> dict[str, str]:
    """Return the labels of an image's configuration: it keeps the snapshot of its top layer."""
    chains = chain_ids(image.config.diff_ids)
    kept = {f"{_GC}snapshot.{snapshotter}": chains[-1]} if chains else {}
    return kept | _source(image)


def _source(image: ResolvedImage) -> dict[str, str]:
    return {f"{_SOURCE}{image.reference.host}": image.reference.path}
