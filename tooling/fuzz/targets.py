"""All targets, by name."""

from collections.abc import Mapping
from typing import Final

from tooling.fuzz import blobs, documents, foreign, layers
from tooling.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    one.name: one for one in (*layers.TARGETS, *foreign.TARGETS, *documents.TARGETS, *blobs.TARGETS)
}
