"""The recordings that go on: whose reads are whose, kept across a restart of the server.

A recording has a number; its container reads block files of its own (`Role.RECORD`), so a read says
by its name whose it is. What was recorded is written to disk now and then: a server that takes over
goes on with it. Once over, a recording stays on disk until its record was handed on.

    <root>/hot/recordings/<number>.json   whose it is
    <root>/hot/recordings/<number>.rec    what was recorded so far (`hot.record_format`)

Race-free: the event loop's thread only, and nothing is awaited between looking and changing.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bootseer.atomic import write_atomic
from bootseer.errors import BootseerError
from snapshotter.blocks.names import BlockName, LayerName, Role, Variant
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hot.record_format import decode, encode
from snapshotter.hot.recorder import Recorder, RecordingRules, RecordingSubject
from snapshotter.ports import ImageKey
from snapshotter.starts.numbers import Numbers

log = logging.getLogger(__name__)

_PERSIST_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class WatchedLayer:
    """A layer of an image whose start is recorded."""

    mount: str
    """Text form of its natural mount."""
    name: LayerName
    layer: HotLayer


@dataclass(slots=True)
class Recording:
    """One recording that goes on, or was not handed on yet."""

    number: int
    image: ImageKey
    workload: str
    layers: tuple[WatchedLayer, ...]
    recorder: Recorder
    rows: dict[LayerName, int] = field(init=False)
    watched: bool = False
    """The kernel tells what is read (`watching`): reads themselves say nothing."""
    kept: int = -1
    """Blocks that are on disk."""

    def __post_init__(self) -> None:
        """Number the layers."""
        self.rows = {watched.name: row for row, watched in enumerate(self.layers)}

    @property
    def variant(self) -> Variant:
        """The variant of its block files."""
        return Variant(Role.RECORD, self.number)


class Recordings:
    """All recordings of a node."""

    def __init__(
        self,
        directory: Path,
        numbers: Numbers,
        rules: RecordingRules,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Find what an earlier server left in `directory`, and go on with it."""
        self._directory = directory
        self.numbers = numbers
        self._rules = rules
        self._clock = clock
        self._persisted = clock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._all = {
            found.number: found for found in map(self._load, directory.glob("*.json")) if found
        }

    def begin(self, image: ImageKey, workload: str, layers: Sequence[WatchedLayer]) -> Recording:
        """Begin to record the start of a container. OSError if the disk does not take it."""
        while (number := self.numbers.take()) in self._all:
            pass  # numbers began again
        subject = RecordingSubject(
            manifest_digest=image.manifest_digest,
            workload=workload,
            created=int(time.time()),
            kernel=os.uname().release,
            architecture=os.uname().machine,
            layers=tuple(watched.layer for watched in layers),
        )
        recorder = Recorder(subject, self._clock(), self._rules)
        recording = Recording(number, image, workload, tuple(layers), recorder)
        write_atomic(self._path(number, "json"), _describe(recording))
        self._all[number] = recording
        return recording

    def is_recorded(self, image: ImageKey, workload: str) -> bool:
        """Say whether a start of this image and workload is being recorded."""
        wanted = (image.manifest_digest, workload)
        return any((r.image.manifest_digest, r.workload) == wanted for r in self._all.values())

    def watch(self, recording: Recording) -> None:
        """Note that the kernel tells of a recording's touches."""
        recording.watched = True
        try:
            write_atomic(self._path(recording.number, "json"), _describe(recording))
        except OSError as error:  # the next server will not go on with it as it should
            fields = {"recording": recording.number, "reason": str(error)}
            log.warning("hot.recording_not_kept", extra={"fields": fields})

    @property
    def watching(self) -> int:
        """How many recordings go on of whose touches the kernel tells."""
        now = self._clock()
        return sum(r.watched and r.recorder.ended(now) is None for r in self._all.values())

    def unwatch(self) -> None:
        """End the recordings of whose touches the kernel told: it does not any more."""
        for recording in self._all.values():
            if recording.watched:
                recording.recorder.stop(self._clock(), Ended.INTERRUPTED)

    def notes_reads(self, number: int) -> bool:
        """Say whether a recording goes by what is read of its block files."""
        recording = self._all.get(number)
        return recording is not None and not recording.watched

    def faces(self, layer: LayerName) -> list[BlockName]:
        """Return the block files by which a layer is read for recordings, as usual otherwise."""
        return [
            BlockName(layer, recording.variant)
            for recording in self._all.values()
            if recording.watched and layer in recording.rows
        ]

    def touch(self, name: BlockName, offset: int, length: int, at: float | None = None) -> None:
        """Note a read of a block file, now or at a time a moment ago.

        One whose recording is over or forgotten says nothing.
        """
        recording = self._all.get(name.variant.number)
        row = recording.rows.get(name.layer) if recording else None
        if recording is not None and row is not None:
            when = self._clock() if at is None else at
            recording.recorder.touch(when, row, offset, length)

    def stop(self, number: int) -> None:
        """End a recording: its container is gone."""
        if recording := self._all.get(number):
            recording.recorder.stop(self._clock(), Ended.STOPPED)

    def abandon(self, number: int) -> None:
        """Forget a recording whose container will not start on it."""
        if recording := self._all.get(number):
            self.hand_on(recording)

    def over(self) -> list[Recording]:
        """Return the recordings that have ended and were not handed on yet."""
        now = self._clock()
        return [r for r in self._all.values() if r.recorder.ended(now) is not None]

    def record(self, recording: Recording) -> Record:
        """Return what was recorded."""
        return recording.recorder.record(self._clock())

    def hand_on(self, recording: Recording) -> None:
        """Forget a recording: somebody else has its record."""
        self._all.pop(recording.number, None)
        for suffix in ("json", "rec"):
            self._path(recording.number, suffix).unlink(missing_ok=True)

    def persist(self, *, now: bool = False) -> None:
        """Write what goes on to disk, if it is time or has to be `now`."""
        if not now and self._clock() - self._persisted < _PERSIST_S:
            return
        self._persisted = self._clock()
        for recording in self._all.values():
            if recording.kept == recording.recorder.blocks:
                continue
            recording.kept = recording.recorder.blocks
            try:
                data = encode(self.record(recording))
                write_atomic(self._path(recording.number, "rec"), data, durable=False)
            except (BootseerError, OSError) as error:
                fields = {"recording": recording.number, "reason": str(error)}
                log.warning("hot.recording_not_kept", extra={"fields": fields})

    @property
    def going_on(self) -> int:
        """How many there are that have not ended."""
        return len(self._all) - len(self.over())

    def describe(self) -> list[dict[str, Any]]:
        """Return the state of every recording, for people and tools."""
        return [
            {
                "number": recording.number,
                "image": recording.image.reference,
                "workload": recording.workload,
                "blocks": recording.recorder.blocks,
                "watched": recording.watched,
                "going_on": recording.recorder.ended(self._clock()) is None,
            }
            for recording in self._all.values()
        ]

    def _path(self, number: int, suffix: str) -> Path:
        return self._directory / f"{number}.{suffix}"

    def _load(self, path: Path) -> Recording | None:
        """Go on with a recording of an earlier server; None if that cannot be."""
        try:
            number = int(path.stem)
            found = _parse(path.read_bytes())
            try:
                so_far = decode(path.with_suffix(".rec").read_bytes())
            except FileNotFoundError:
                so_far = None
            subject = found.subject
            recorder = Recorder(subject, self._clock(), self._rules, so_far)
        except (ValueError, KeyError, TypeError, BootseerError, OSError) as error:
            fields = {"path": str(path), "reason": str(error)}
            log.warning("hot.recording_lost", extra={"fields": fields})
            for lost in (path, path.with_suffix(".rec")):
                lost.unlink(missing_ok=True)
            return None
        return Recording(
            number,
            found.image,
            subject.workload,
            found.layers,
            recorder,
            watched=found.watched,
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a description says."""

    image: ImageKey
    subject: RecordingSubject
    layers: tuple[WatchedLayer, ...]
    watched: bool


def _describe(recording: Recording) -> bytes:
    subject = recording.recorder.subject
    document = {
        "reference": recording.image.reference,
        "manifest": recording.image.manifest_digest,
        "workload": recording.workload,
        "created": subject.created,
        "kernel": subject.kernel,
        "architecture": subject.architecture,
        "watched": recording.watched,
        "layers": [
            {
                "mount": watched.mount,
                "name": watched.name,
                "layer": watched.layer.layer_digest,
                "index": watched.layer.index_digest,
                "size": watched.layer.data_size,
            }
            for watched in recording.layers
        ],
    }
    return json.dumps(document, indent=1).encode()


def _parse(data: bytes) -> _Found:
    """Parse a description of ours. ValueError, KeyError or TypeError if it is none."""
    document = json.loads(data)
    layers = tuple(
        WatchedLayer(
            one["mount"],
            LayerName(one["name"]),
            HotLayer(one["layer"], one["index"], one["size"]),
        )
        for one in document["layers"]
    )
    subject = RecordingSubject(
        manifest_digest=document["manifest"],
        workload=document["workload"],
        created=document["created"],
        kernel=document["kernel"],
        architecture=document["architecture"],
        layers=tuple(watched.layer for watched in layers),
    )
    image = ImageKey(document["reference"], document["manifest"])
    return _Found(image, subject, layers, document.get("watched") is True)
