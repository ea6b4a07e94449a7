"""Which gRPC status an error becomes. One table.

containerd knows a handful of codes and takes every other one as "unknown", which fails a pull;
during garbage collection only FAILED_PRECONDITION on Remove lets it go on.
"""

from typing import Final

import grpc

from bootseer.errors import (
    BootseerError,
    CorruptError,
    HostError,
    NotFoundError,
    RemoteError,
    UsageError,
)
from snapshotter.snapshots.errors import ExistsError, StateError

TABLE: Final[tuple[tuple[type[Exception], grpc.StatusCode], ...]] = (
    (ExistsError, grpc.StatusCode.ALREADY_EXISTS),
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (StateError, grpc.StatusCode.FAILED_PRECONDITION),
    (UsageError, grpc.StatusCode.INVALID_ARGUMENT),
    (RemoteError, grpc.StatusCode.UNAVAILABLE),
    (CorruptError, grpc.StatusCode.DATA_LOSS),
    (HostError, grpc.StatusCode.INTERNAL),
    (BootseerError, grpc.StatusCode.INTERNAL),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
)
"""The first class that fits counts."""


def status(error: Exception) -> grpc.StatusCode | None:
    """Return the status for an expected error, None for a bug."""
    return next((code for kind, code in TABLE if isinstance(error, kind)), None)
