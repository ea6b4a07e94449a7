"""Indexes that were made while a layer was unpacked, and are still to be published.

They lie in the layer's own directory, so that they go with it, and outlive the server:

    unpublished/windows      the layer's inflate windows; may be empty
    unpublished/image.json   which image it was unpacked for; written last
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bootseer.atomic import write_atomic
from bootseer.documents import parse_document
from bootseer.errors import CorruptError
from snapshotter.ports import ImageKey, MadeIndex
from snapshotter.serving.layout import INDEX, RECORD, LayerRecord, Layout

_DIRECTORY: Final = "unpublished"
_WINDOWS: Final = "windows"
_IMAGE: Final = "image.json"
_MOST: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class PublishJob:
    """For which image an unpacked layer's index is to be published, and how it is made."""

    image: ImageKey
    spacing: int
    """Uncompressed bytes between places where a gzip layer can be entered."""


def keep(directory: Path, image: ImageKey, windows: bytes, *, random_access: bool) -> None:
    """Leave what is to be published in the directory of a layer. Raises OSError."""
    place = directory / _DIRECTORY
    place.mkdir()
    (place / _WINDOWS).write_bytes(windows)
    document = {**asdict(image), "random_access": random_access}
    write_atomic(place / _IMAGE, json.dumps(document).encode())


def waiting(layout: Layout) -> Iterator[tuple[ImageKey, MadeIndex]]:
    """Yield what waits to be published. Reads files; what is damaged is passed over."""
    for path in layout.layers.glob(f"*/{_DIRECTORY}/{_IMAGE}"):
        directory = path.parent.parent
        try:
            root = parse_document(path.read_bytes(), str(path), _MOST)
            image = ImageKey(
                root.required("reference").string(), root.required("manifest_digest").digest()
            )
            made = MadeIndex(
                LayerRecord.decode((directory / RECORD).read_bytes()).layer_digest,
                directory / INDEX,
                path.parent / _WINDOWS,
                random_access=root.required("random_access").value is True,
            )
        except (OSError, CorruptError):
            continue
        yield image, made


def done(made: MadeIndex) -> None:
    """Remove what was left to be published: it was, or never will be."""
    shutil.rmtree(made.windows.parent, ignore_errors=True)
