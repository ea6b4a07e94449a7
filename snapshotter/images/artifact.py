"""The index artifact: the published indexes of an image's layers, as an OCI manifest. Pure.

An OCI 1.1 image manifest with an artifact type, the empty configuration, and the image's manifest
as its `subject`. For each indexed layer it has a blob with the layer's index and, where the layer
needs inflate windows, one with these; both are annotated with the layer they are for. See
`docs/formats/index-artifact.md`.
"""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bootseer.digests import is_digest
from bootseer.documents import Node
from snapshotter.images.manifest import ImageManifest, parse_manifest
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest

ARTIFACT_TYPE: Final = "application/vnd.bootseer.index.v1"
INDEX_TYPE: Final = "application/vnd.bootseer.layer-index.v1"
WINDOWS_TYPE: Final = "application/vnd.bootseer.layer-windows.v1"
LAYER: Final = "io.bootseer.layer.digest"
"""Annotation of a blob: the layer it is for."""
UNINDEXED: Final = "io.bootseer.layers.unindexed"
"""Annotation of the manifest: layers that cannot be read at random, separated by commas."""
SIGNATURES: Final = "io.bootseer.signatures"
"""Annotation of the manifest: signatures of what it says (see `trust`), in base64, separated by
commas."""
CREATED: Final = "org.opencontainers.image.created"

EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY: Final = b"{}"
EMPTY_CONFIG: Final = Descriptor(
    EMPTY_TYPE, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2
)
_MOST_SIGNATURES: Final = 16
_LONGEST_SIGNATURE: Final = 1024


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """The published index of one layer."""

    layer_digest: str
    index: Descriptor
    windows: Descriptor | None
    """None where no chunk of the layer needs a window."""


@dataclass(frozen=True, slots=True)
class IndexArtifact:
    """The published indexes of one image."""

    subject: Descriptor
    """The image's manifest."""
    created: dt.datetime
    layers: tuple[LayerEntry, ...]
    unindexed: tuple[str, ...] = ()
    """Layers of the image that cannot be read at random."""
    signatures: tuple[bytes, ...] = ()

    def layer(self, digest: str) -> LayerEntry | None:
        """Return the entry of a layer."""
        return next((entry for entry in self.layers if entry.layer_digest == digest), None)


def build(artifact: IndexArtifact) -> bytes:
    """Return the artifact's manifest. Equal artifacts give equal bytes."""
    annotations = {CREATED: artifact.created.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")}
    if artifact.unindexed:
        annotations[UNINDEXED] = ",".join(artifact.unindexed)
    if artifact.signatures:
        encoded = [base64.b64encode(one).decode("ascii") for one in artifact.signatures]
        annotations[SIGNATURES] = ",".join(encoded)
    subject = artifact.subject
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": EMPTY_CONFIG.to_json(),
        # The distribution specification asks for an empty layer where there is none.
        "layers": [blob.to_json() for blob in _blobs(artifact.layers)] or [EMPTY_CONFIG.to_json()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).to_json(),
        "annotations": annotations,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _blobs(entries: Sequence[LayerEntry]) -> list[Descriptor]:
    return [
        Descriptor(media_type, blob.digest, blob.size, {LAYER: entry.layer_digest})
        for entry in entries
        for media_type, blob in ((INDEX_TYPE, entry.index), (WINDOWS_TYPE, entry.windows))
        if blob is not None
    ]


def parse(raw: RawManifest, subject_digest: str, limits: Limits = DEFAULT) -> IndexArtifact:
    """Return the index artifact of the image manifest `subject_digest`.

    Blobs of media types that are not known are passed over: a later version may add some.

    Raises:
        CorruptError: this is not one, or it is of another image.
    """
    manifest = parse_manifest(raw, limits)
    root = Node(None, f"index artifact {raw.digest}")
    if not isinstance(manifest, ImageManifest) or manifest.artifact_type != ARTIFACT_TYPE:
        raise root.wrong("not an index artifact")
    if manifest.subject is None or manifest.subject.digest != subject_digest:
        raise root.wrong(f"it is not of image {subject_digest}")
    created = parse_time(manifest.annotations.get(CREATED, ""))
    if created is None:
        raise root.wrong(f"annotation {CREATED} is not a time")
    return IndexArtifact(
        subject=manifest.subject,
        created=created,
        layers=_entries(manifest.layers, root, limits),
        unindexed=_unindexed(manifest.annotations.get(UNINDEXED, ""), root, limits),
        signatures=_signatures(manifest.annotations.get(SIGNATURES, ""), root),
    )


def parse_time(text: str) -> dt.datetime | None:
    """Return the time in an RFC 3339 text; None if it is none."""
    try:
        time = dt.datetime.fromisoformat(text)
        return time.astimezone(dt.UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _entries(blobs: Sequence[Descriptor], root: Node, limits: Limits) -> tuple[LayerEntry, ...]:
    indexes = _by_layer(blobs, INDEX_TYPE, limits.index, root)
    windows = _by_layer(blobs, WINDOWS_TYPE, limits.windows, root)
    if stray := sorted(set(windows) - set(indexes)):
        raise root.wrong(f"windows without an index for layer {stray[0]}")
    return tuple(LayerEntry(layer, index, windows.get(layer)) for layer, index in indexes.items())


def _by_layer(
    blobs: Sequence[Descriptor], media_type: str, largest: int, root: Node
) -> dict[str, Descriptor]:
    found: dict[str, Descriptor] = {}
    for i, blob in enumerate(blobs):
        if blob.media_type != media_type:
            continue
        place = Node(blob, root.document, f"layers[{i}]")
        layer = blob.annotations.get(LAYER, "")
        if not is_digest(layer):
            raise place.wrong(f"annotation {LAYER} is not a digest")
        if layer in found:
            raise place.wrong(f"a second blob of type {media_type} for layer {layer}")
        if not 0 < blob.size <= largest:
            raise place.wrong(f"{blob.size} bytes, accepted are 1 to {largest}")
        found[layer] = blob
    return found


def _unindexed(text: str, root: Node, limits: Limits) -> tuple[str, ...]:
    digests = tuple(text.split(",")) if text else ()
    if len(digests) > limits.layers or not all(is_digest(digest) for digest in digests):
        raise root.wrong(f"annotation {UNINDEXED} is not a list of digests")
    return digests


def _signatures(text: str, root: Node) -> tuple[bytes, ...]:
    parts = text.split(",") if text else []
    if len(parts) > _MOST_SIGNATURES or any(len(part) > _LONGEST_SIGNATURE for part in parts):
        raise root.wrong(f"annotation {SIGNATURES} is too long")
    try:
        return tuple(base64.b64decode(part, validate=True) for part in parts)
    except (binascii.Error, ValueError) as error:
        raise root.wrong(f"annotation {SIGNATURES} is not base64") from error
