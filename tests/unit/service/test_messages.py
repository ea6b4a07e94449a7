"""Records to protobuf messages, errors to status codes."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import (
    BootseerError,
    CorruptError,
    HostError,
    NotFoundError,
    RemoteError,
    UsageError,
)
from snapshotter.service.messages import batches, to_info, to_mounts
from snapshotter.service.protos import snapshots_pb2 as pb
from snapshotter.service.status import status
from snapshotter.snapshots.errors import ExistsError, StateError
from snapshotter.snapshots.records import Info, Kind, Mount


def info(number: int = 0) -> Info:
    return Info(f"n{number}", "p", Kind.COMMITTED, 1_500_000_001, 2_999_999_999, {"k": "v"})


def test_times_are_split_into_seconds_and_nanoseconds() -> None:
    message = to_info(info())
    assert (message.created_at.seconds, message.created_at.nanos) == (1, 500_000_001)
    assert message.updated_at.ToNanoseconds() == 2_999_999_999
    assert message.labels == {"k": "v"}
    assert message.kind == pb.COMMITTED


def test_kinds_are_numbered_as_on_the_wire() -> None:
    assert {kind.name: kind.value for kind in Kind} == {
        name: number for name, number in pb.Kind.items() if name != "UNKNOWN"
    }


def test_mounts_keep_the_order_of_their_options() -> None:
    (message,) = to_mounts([Mount("overlay", "overlay", ("b", "a"))])
    assert (message.type, message.source, list(message.options)) == (
        "overlay",
        "overlay",
        ["b", "a"],
    )


@given(st.integers(0, 350))
def test_a_list_has_at_most_100_snapshots_a_message_and_loses_none(count: int) -> None:
    infos = [info(number) for number in range(count)]
    messages = list(batches(infos))
    assert all(0 < len(message.info) <= 100 for message in messages)
    assert [one.name for message in messages for one in message.info] == [one.name for one in infos]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ExistsError("x"), grpc.StatusCode.ALREADY_EXISTS),
        (NotFoundError("x"), grpc.StatusCode.NOT_FOUND),
        (StateError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (UsageError("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (RemoteError("x"), grpc.StatusCode.UNAVAILABLE),
        (CorruptError("x"), grpc.StatusCode.DATA_LOSS),
        (HostError("x"), grpc.StatusCode.INTERNAL),
        (BootseerError("x"), grpc.StatusCode.INTERNAL),
        (TimeoutError(), grpc.StatusCode.DEADLINE_EXCEEDED),
        (KeyError("a bug"), None),
    ],
)
def test_every_family_of_errors_has_its_status(
    error: Exception, code: grpc.StatusCode | None
) -> None:
    assert status(error) is code
