"""The records that a node keeps for itself: for its own next start, if nobody takes them.

A node without the right to push still starts fast the second time. Small, and bounded: records of
the images that were recorded last.
"""

import logging
import shutil
from pathlib import Path
from typing import Final

from bootseer.blobs.directory import DirectoryBlobs
from snapshotter.hotstore.blobs import BlobHotStore

log = logging.getLogger(__name__)

_IMAGES: Final = 128
"""Images whose records are kept."""


def open_own_store(directory: Path) -> BlobHotStore:
    """Return the store in a directory, which is made; what is older than the newest images goes."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    images = [path for path in directory.iterdir() if path.is_dir()]
    for old in sorted(images, key=lambda path: path.stat().st_mtime_ns)[:-_IMAGES]:
        shutil.rmtree(old, ignore_errors=True)
        log.info("hot.own_records_dropped", extra={"fields": {"image": old.name}})
    return BlobHotStore(DirectoryBlobs(directory))
