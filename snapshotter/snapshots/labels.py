"""Labels: the limits containerd sets them, and what the ones it puts on image layers mean. Pure.

Reference: containerd `docs/remote-snapshotter.md`, `core/snapshots/snapshotter.go` (names).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.snapshots.ports import LayerRequest, StartRequest
from snapshotter.snapshots.records import Info

TARGET: Final = "containerd.io/snapshot.ref"
"""Chain ID under which the snapshot will be committed: this Prepare unpacks an image layer."""
PARENT_CHAIN: Final = "containerd.io/snapshot/parent-chain-id"
IMAGE: Final = "containerd.io/snapshot/cri.image-ref"
MANIFEST: Final = "containerd.io/snapshot/cri.manifest-digest"
LAYER: Final = "containerd.io/snapshot/cri.layer-digest"
LAYERS: Final = "containerd.io/snapshot/cri.image-layers"
"""This layer and those above it; the list may be cut off."""

ABOUT: Final = (("image", IMAGE), ("layer", LAYER))
"""What labels say for people, and which."""

_OURS: Final = "containerd.io/snapshot/bootseer."

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def checked(labels: Mapping[str, str], limits: Limits = DEFAULT) -> dict[str, str]:
    """Return the labels that are to be stored: a label without a value is no label.

    Raises UsageError for one that is longer than containerd allows.
    """
    for key, value in labels.items():
        if len(key.encode()) + len(value.encode()) > limits.label:
            raise UsageError(
                f"label {key[:64]!r}: key and value exceed {limits.label} bytes",
                hint="shorten the value",
            )
    return {key: value for key, value in labels.items() if value}


def updated(
    old: Mapping[str, str], new: Mapping[str, str], fields: Sequence[str]
) -> dict[str, str]:
    """Return the labels after an update of `fields`: `labels`, or `labels.<key>` for one of them.

    No fields at all means everything that can be changed, which is `labels`. Raises UsageError
    for a field that cannot be changed.
    """
    result = dict(old)
    for field in fields or ("labels",):
        prefix, dot, key = field.partition(".")
        if prefix != "labels" or (dot and not key):
            raise UsageError(
                f"field {field!r} of a snapshot cannot be updated",
                hint="only labels and labels.<key> can",
            )
        if dot:
            result[key] = new.get(key, "")
        else:
            result = dict(new)
    return checked(result)


def says_how_to_start(labels: Mapping[str, str]) -> bool:
    """Say whether a container's snapshot has labels for us."""
    return any(key.startswith(_OURS) for key in labels)


def digest(text: str) -> str:
    """Return the text if it is a SHA-256 digest, otherwise an empty string."""
    return text if _DIGEST.fullmatch(text) else ""


def start_request(
    labels: Mapping[str, str], parent: Info, layers: Sequence[str]
) -> StartRequest | None:
    """Return what a Prepare asks for if a container is about to start on lazily served layers.

    None if it unpacks an image layer.
    """
    if labels.get(TARGET) or not layers:
        return None
    return StartRequest(
        image_ref=parent.labels.get(IMAGE, ""),
        manifest_digest=digest(parent.labels.get(MANIFEST, "")),
        layers=tuple(layers),
        labels=dict(labels),
    )


def layer_request(
    labels: Mapping[str, str], parent: Info | None, *, staged: bool = False
) -> LayerRequest | None:
    """Return what a Prepare asks for if it unpacks an image layer that could be served lazily.

    None for a container's writable layer and for a chain ID that is none. Also None, unless
    layers are `staged`, when containerd unpacks them in parallel: then it names the parent only
    on Commit (a label tells), and would not find a snapshot that is committed without one.
    """
    chain = digest(labels.get(TARGET, ""))
    named = digest(labels.get(PARENT_CHAIN, ""))
    if not chain or (named and parent is None and not staged):
        return None
    below = parent.labels.get(TARGET, "") if parent else ""
    return LayerRequest(
        image_ref=labels.get(IMAGE, ""),
        manifest_digest=digest(labels.get(MANIFEST, "")),
        layer_digest=digest(labels.get(LAYER, "")),
        chain_id=chain,
        parent_chain=named or digest(below),
        labels=dict(labels),
        bottom=parent is None and not named,
    )
