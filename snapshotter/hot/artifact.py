"""How records and packs are published: OCI artifacts whose subject is the image's manifest. Pure.

Two types of artifact, so that a list of referrers can be asked for one of them. A *records*
artifact has one blob a run: every node pushes its own, so two that publish at once lose nothing,
and whoever reads merges all; somebody may push one artifact with the records of several others in
their place. A *pack* artifact has the one pack made from such a merge. What a reader chooses by
stands in the annotations of the manifest, and again in the list of referrers where that is ours to
write. See `docs/formats/hot-record.md` and `docs/formats/hot-pack.md`.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bootseer.digests import is_digest
from bootseer.documents import Node
from snapshotter.images.artifact import CREATED, EMPTY_CONFIG, parse_time
from snapshotter.images.manifest import ImageManifest, parse_manifest
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest


class HotKind(StrEnum):
    """What an artifact holds; the value is its artifact type."""

    RECORDS = "application/vnd.bootseer.hot.records.v1"
    PACK = "application/vnd.bootseer.hot.pack.v1"

    @property
    def blob_type(self) -> str:
        """Media type of the artifact's blobs."""
        return _BLOB_TYPES[self]


_BLOB_TYPES: Final = {
    HotKind.RECORDS: "application/vnd.bootseer.hot-record.v1",
    HotKind.PACK: "application/vnd.bootseer.hot-pack.v1",
}
WORKLOAD: Final = "io.bootseer.hot.workload"
"""Annotation: name of what ran; missing for the image's default."""
RUNS: Final = "io.bootseer.hot.runs"
"""Annotation: how many runs are in it, decimal."""
INDEXES: Final = "io.bootseer.hot.indexes"
"""Annotation: digests of the layer indexes that it rests on, separated by commas."""


@dataclass(frozen=True, slots=True)
class HotArtifact:
    """The published records of some runs of an image, or their pack."""

    kind: HotKind
    subject: Descriptor
    """The image's manifest."""
    created: dt.datetime
    workload: str
    """Empty for the image's default."""
    runs: int
    """Runs that were recorded or merged."""
    indexes: tuple[str, ...]
    """Digests of the layer indexes by which blocks are numbered."""
    blobs: tuple[Descriptor, ...]
    """One record a run, or the one pack. Digest and size count; the rest follows from `kind`."""


def annotations(artifact: HotArtifact) -> dict[str, str]:
    """Return what a reader chooses by: for the manifest, and for the list of referrers."""
    created = artifact.created.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    found = {CREATED: created, RUNS: str(artifact.runs), INDEXES: ",".join(artifact.indexes)}
    return found | ({WORKLOAD: artifact.workload} if artifact.workload else {})


def build(artifact: HotArtifact) -> bytes:
    """Return the artifact's manifest. Equal artifacts give equal bytes."""
    subject, blob_type = artifact.subject, artifact.kind.blob_type
    blobs = [Descriptor(blob_type, blob.digest, blob.size).to_json() for blob in artifact.blobs]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact.kind.value,
        "config": EMPTY_CONFIG.to_json(),
        "layers": blobs,
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).to_json(),
        "annotations": annotations(artifact),
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def parse(
    raw: RawManifest, kind: HotKind, subject_digest: str, limits: Limits = DEFAULT
) -> HotArtifact:
    """Return the artifact of this kind of the image manifest `subject_digest`.

    Blobs of media types that are not known are passed over: a later version may add some.

    Raises:
        CorruptError: this is not one, or it is of another image.
    """
    manifest = parse_manifest(raw, limits)
    root = Node(None, f"hot artifact {raw.digest}")
    if not isinstance(manifest, ImageManifest) or manifest.artifact_type != kind:
        raise root.wrong(f"not of type {kind}")
    if manifest.subject is None or manifest.subject.digest != subject_digest:
        raise root.wrong(f"it is not of image {subject_digest}")
    created = parse_time(manifest.annotations.get(CREATED, ""))
    if created is None:
        raise root.wrong(f"annotation {CREATED} is not a time")
    blobs = _blobs(manifest.layers, kind, root, limits)
    runs = _runs(manifest.annotations.get(RUNS, ""), root, limits)
    if kind is HotKind.RECORDS and runs != len(blobs):
        raise root.wrong(f"{len(blobs)} records, annotation {RUNS} says {runs}")
    return HotArtifact(
        kind=kind,
        subject=manifest.subject,
        created=created,
        workload=_workload(manifest.annotations.get(WORKLOAD, ""), root, limits),
        runs=runs,
        indexes=_indexes(manifest.annotations.get(INDEXES, ""), root, limits),
        blobs=blobs,
    )


def may_be_of(listed: Descriptor, workload: str) -> bool:
    """Say whether an entry of a list of referrers may be of a workload.

    Registries need not copy annotations into the list: an entry without ours may be anything.
    """
    if RUNS not in listed.annotations:
        return True
    return listed.annotations.get(WORKLOAD, "") == workload


def _blobs(
    layers: Sequence[Descriptor], kind: HotKind, root: Node, limits: Limits
) -> tuple[Descriptor, ...]:
    blobs = tuple(blob for blob in layers if blob.media_type == kind.blob_type)
    most, largest = {
        HotKind.RECORDS: (limits.hot_runs, limits.hot_record),
        HotKind.PACK: (1, limits.hot_pack),
    }[kind]
    if not 0 < len(blobs) <= most:
        raise root.wrong(f"{len(blobs)} blobs of type {kind.blob_type}, accepted are 1 to {most}")
    for blob in blobs:
        if not 0 < blob.size <= largest:
            raise root.wrong(f"blob {blob.digest}: {blob.size} bytes, accepted are 1 to {largest}")
    if len({blob.digest for blob in blobs}) < len(blobs):
        raise root.wrong("a blob is in it twice")
    return blobs


def _runs(text: str, root: Node, limits: Limits) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise root.wrong(f"annotation {RUNS} is not a number")
    if not 0 < int(text) <= limits.hot_runs:
        raise root.wrong(f"annotation {RUNS} is {text}, accepted are 1 to {limits.hot_runs}")
    return int(text)


def _workload(text: str, root: Node, limits: Limits) -> str:
    if len(text.encode()) > limits.hot_text or not text.isprintable():
        raise root.wrong(f"annotation {WORKLOAD} is not a name")
    return text


def _indexes(text: str, root: Node, limits: Limits) -> tuple[str, ...]:
    digests = tuple(text.split(",")) if text else ()
    if len(digests) > limits.layers or not all(map(is_digest, digests)):
        raise root.wrong(f"annotation {INDEXES} is not a list of digests")
    return digests
