"""What to do for a container that is about to start. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from snapshotter.hot.record import Record
from snapshotter.ports import PublishedPack

RecordPolicy: TypeAlias = Literal["auto", "always", "never"]


class Course(StrEnum):
    """How a container starts."""

    NATURAL = "natural"
    """On the layers as they were pulled."""
    RECORD = "record"
    """Likewise, and what it touches is recorded."""
    READY = "ready"
    """With hot areas that are here already."""
    PACK = "pack"
    """With hot areas that are filled from a pack."""
    RECORDS = "records"
    """With hot areas that are filled from the layers' chunks, in the order of records."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the hot blocks of an image and workload."""

    pack: PublishedPack | None = None
    records: Sequence[Record] = ()
    at_hand: bool = False
    """Hot areas of this image are here, and whole."""


@dataclass(frozen=True, slots=True)
class StartPolicy:
    """What the configuration, and the container, want."""

    record: RecordPolicy = "auto"
    prefetch: bool = True
    in_place: bool = False
    """Hot blocks are prefetched into the chunk cache, and read from there like all others."""


def choose(policy: StartPolicy, known: Known | None, *, recording: bool) -> Course:
    """Return how a container starts.

    `known` is None where it could not be found out in time: then nothing is recorded either, for
    there may well be a record. `recording`: a start of this image and workload is being recorded.
    """
    if policy.record == "always" and not recording:
        return Course.RECORD
    if known is None:
        return Course.NATURAL
    if known.at_hand or known.pack or known.records:
        return _prefetched(policy, known)
    record = policy.record == "auto" and not recording
    return Course.RECORD if record else Course.NATURAL


def _prefetched(policy: StartPolicy, known: Known) -> Course:
    if not policy.prefetch:
        return Course.NATURAL
    if known.at_hand and not policy.in_place:
        return Course.READY
    return Course.PACK if known.pack else Course.RECORDS
