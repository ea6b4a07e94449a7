"""The checkpoints of a run, in `step-000123` each.

A checkpoint is written beside its place, its manifest last, and then renamed: whoever is
interrupted leaves a `.part` directory that nobody reads. Older ones are removed only after that.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from idpl.checkpoint import sharded, single
from idpl.checkpoint.manifest import NAME, Manifest, check_files, describe, encode, read
from idpl.checkpoint.snapshot import Snapshot
from idpl.config import differences
from idpl.errors import CheckpointError
from idpl.together import Together

_PREFIX: Final = "step-"
_PART: Final = ".part"

Say = Callable[[str], None]

MAY_DIFFER: Final = frozenset(
    {
        "training.checkpoint_every",
        "training.keep",
        "training.log_every",
        "training.device",
    }
)
"""Keys that a run may be resumed with other values of."""


def saved(directory: Path) -> list[Path]:
    """Return the checkpoints of a run, the oldest first."""
    return sorted(
        path
        for path in directory.glob(f"{_PREFIX}*")
        if path.suffix != _PART and path.name.removeprefix(_PREFIX).isdigit()
    )


def save(directory: Path, snapshot: Snapshot, keep: int, together: Together) -> Path:
    """Write a checkpoint, then remove all but the last `keep`; all processes call this."""
    place = directory / f"{_PREFIX}{snapshot.step:06d}"
    part = place.with_name(place.name + _PART)
    if together.leads:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    together.wait()
    in_shards = together.share.world > 1 and sharded.available()
    if in_shards:
        sharded.write(part, snapshot.tensors)
    elif together.leads:
        single.write(part, snapshot.tensors)
    together.wait()
    if together.leads:
        kind = sharded.KIND if in_shards else single.KIND
        _finish(part, place, snapshot, kind, together.share.world)
        for old in saved(directory)[:-keep]:
            shutil.rmtree(old)
    together.wait()
    return place


def _finish(part: Path, place: Path, snapshot: Snapshot, kind: str, world: int) -> None:
    version = str(torch.__version__)
    manifest = Manifest(kind, snapshot.step, world, version, snapshot.config, describe(part))
    (part / NAME).write_text(encode(manifest))
    for path in (*part.iterdir(), part):
        _to_disk(path)
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    _to_disk(place.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(place: Path) -> Snapshot:
    """Return a checkpoint, every byte checked. Raises `CheckpointError`."""
    manifest = read(place)
    check_files(place, manifest)
    readers = {single.KIND: single.read, sharded.KIND: sharded.read}
    if manifest.kind not in readers:
        raise CheckpointError(f"{place}: unknown kind {manifest.kind!r}")
    return Snapshot(manifest.step, manifest.config, readers[manifest.kind](place))


def load_latest(directory: Path, say: Say) -> Snapshot | None:
    """Return the last whole checkpoint of a run, or None where there is none at all.

    One that is damaged is named and passed over, not removed. Raises `CheckpointError` where none
    is whole, or where one is from another version: to start from nothing would lose what is there.
    """
    places = saved(directory)
    failures = []
    for place in reversed(places):
        try:
            found = load(place)
        except CheckpointError as error:
            failures.append(str(error))
            say(f"warning: {error}; trying the one before")
        else:
            return found
    if places:
        raise CheckpointError(
            f"{directory}: none of {len(places)} checkpoints can be used: {failures[-1]}",
            hint="nothing was removed; --out another directory starts anew",
        )
    return None


def check_config(snapshot: Snapshot, config: dict[str, object]) -> None:
    """Raise `CheckpointError` where a checkpoint is of another configuration."""
    found = [
        line
        for line in differences(dict(snapshot.config), config)
        if line.split(":")[0] not in MAY_DIFFER
    ]
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise CheckpointError(
            f"the checkpoint is of another configuration: {'; '.join(found[:3])}{more}",
            hint="use its configuration, or --out another directory",
        )
