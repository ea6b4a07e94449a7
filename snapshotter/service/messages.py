"""Between the snapshotter's records and protobuf messages. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from snapshotter.service.protos import mount_pb2, snapshots_pb2
from snapshotter.snapshots.records import Info, Mount

BATCH: Final = 100
"""Snapshots in one message of a List."""

_SECOND: Final = 10**9


def to_mounts(mounts: Iterable[Mount]) -> list[mount_pb2.Mount]:
    """Translate mounts."""
    return [
        mount_pb2.Mount(type=mount.type, source=mount.source, options=mount.options)
        for mount in mounts
    ]


def to_info(info: Info) -> snapshots_pb2.Info:
    """Translate a snapshot."""
    return snapshots_pb2.Info(
        name=info.name,
        parent=info.parent,
        kind=snapshots_pb2.Kind.ValueType(info.kind),
        created_at=_timestamp(info.created_ns),
        updated_at=_timestamp(info.updated_ns),
        labels=info.labels,
    )


def batches(infos: Sequence[Info]) -> Iterator[snapshots_pb2.ListSnapshotsResponse]:
    """Yield the messages of a List: none for no snapshots."""
    rest = iter(infos)
    while batch := [to_info(info) for info in islice(rest, BATCH)]:
        yield snapshots_pb2.ListSnapshotsResponse(info=batch)


def _timestamp(nanoseconds: int) -> Timestamp:
    return Timestamp(seconds=nanoseconds // _SECOND, nanos=nanoseconds % _SECOND)
