"""Objects of a store as artifacts of a repository. Pure; raises `CorruptError` only.

A folder is an *anchor*: a manifest that says the folder's name and nothing else, so that everybody
who makes it makes the same bytes and knows its digest. Its subject is the anchor of the folder that
it is in. An object is a *candidate*: a manifest whose subject is the anchor of its folder, whose
first layer is the contents. Several may stand for one object; which of them counts follows from
what they say, and is the same for every reader: the oldest, of these that of the least digest.
"""

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bootseer.digests import digest_of
from bootseer.documents import Node
from snapshotter.images.artifact import CREATED, EMPTY_CONFIG, parse_time
from snapshotter.images.manifest import ImageManifest, parse_manifest
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest

FOLDER_TYPE: Final = "application/vnd.bootseer.depsnap.folder.v1+json"
OBJECT_TYPE: Final = "application/vnd.bootseer.depsnap.object.v1"
PART_TYPE: Final = "application/vnd.bootseer.depsnap.part.v1"
"""Of layers that an object's content names: they are there so that the registry keeps them."""
NAME: Final = "io.bootseer.depsnap.name"
"""Annotation: of a folder its whole name, of an object the last word of its name."""
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact that stands for an object."""

    name: str
    """The last word of the object's name."""
    created: dt.datetime
    digest: str
    """Of the manifest."""
    content: Descriptor


def anchor(folder: str) -> bytes:
    """Return the manifest that stands for a folder, the same everywhere; empty: the uppermost."""
    document: dict[str, Any] = {
        **_manifest(FOLDER_TYPE, [EMPTY_CONFIG]),
        "annotations": {NAME: folder},
    }
    if folder:
        document["subject"] = anchor_descriptor(folder.rpartition("/")[0]).to_json()
    return _encoded(document)


def anchor_descriptor(folder: str) -> Descriptor:
    """Return the descriptor of a folder's manifest."""
    data = anchor(folder)
    return Descriptor(OCI_MANIFEST, digest_of(data), len(data))


def folders_of(name: str) -> list[str]:
    """Return all folders that an object is in, the uppermost first."""
    words = name.split("/")[:-1]
    return ["/".join(words[:count]) for count in range(len(words) + 1)]


def candidate(
    name: str, content: Descriptor, parts: Iterable[Descriptor], created: dt.datetime
) -> bytes:
    """Return the manifest of an artifact for the object `name`."""
    layers = [Descriptor(OBJECT_TYPE, content.digest, content.size)]
    layers += [Descriptor(PART_TYPE, part.digest, part.size) for part in parts]
    return _encoded(
        {
            **_manifest(OBJECT_TYPE, layers),
            "subject": anchor_descriptor(name.rpartition("/")[0]).to_json(),
            "annotations": {NAME: name.rpartition("/")[2], CREATED: created.isoformat()},
        }
    )


def parse_candidate(raw: RawManifest, folder: str, limits: Limits = DEFAULT) -> Candidate:
    """Return the candidate that a manifest is.

    Raises:
        CorruptError: it is none, or of another folder.
    """
    manifest = parse_manifest(raw, limits)
    root = Node(None, f"artifact {raw.digest}")
    if not isinstance(manifest, ImageManifest) or manifest.artifact_type != OBJECT_TYPE:
        raise root.wrong("not an object of a store of snapshots")
    if manifest.subject is None or manifest.subject.digest != anchor_descriptor(folder).digest:
        raise root.wrong(f"it is not in {folder}")
    created = parse_time(manifest.annotations.get(CREATED, ""))
    if created is None or not manifest.layers:
        raise root.wrong("without a time, or without contents")
    name = _word(manifest.annotations.get(NAME, ""), root)
    return Candidate(name, created, raw.digest, manifest.layers[0])


def parse_anchor(raw: RawManifest, above: str, limits: Limits = DEFAULT) -> str:
    """Return the name of the folder in `above` that a manifest stands for.

    Raises:
        CorruptError: it stands for none, or for one somewhere else.
    """
    manifest = parse_manifest(raw, limits)
    root = Node(None, f"artifact {raw.digest}")
    if not isinstance(manifest, ImageManifest):
        raise root.wrong("not a folder")
    folder = manifest.annotations.get(NAME, "")
    _word(folder[len(above) :].removeprefix("/"), root)
    if len(folder) > _LONGEST or anchor_descriptor(folder).digest != raw.digest:
        raise root.wrong("not a folder")
    if folder.rpartition("/")[0] != above:
        raise root.wrong(f"not in {above}")
    return folder


def chosen(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidate that counts of each name, by name."""
    found: dict[str, Candidate] = {}
    for one in sorted(candidates, key=lambda one: (one.name, one.created, one.digest)):
        found.setdefault(one.name, one)
    return list(found.values())


def _word(text: str, root: Node) -> str:
    if not text or "/" in text or text.startswith(".") or not text.isprintable():
        raise root.wrong("it has no name")
    return text


def _manifest(artifact_type: str, layers: Iterable[Descriptor]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": EMPTY_CONFIG.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
