"""Stands in for containerd's CRI image service, to see with which credentials images are pulled.

A kubelet that is started with `--image-service-endpoint` sends its image calls here. Each is handed
on to containerd as it is, byte for byte, whatever its method and version, and so is the answer; of
`PullImage` alone the request is looked at, in passing. What cannot be read there is handed on all
the same: this is never the reason why a pull fails. Every method takes one request (the CRI's do),
which goes out together with the call: a call that is still being written when containerd has
already refused it would be answered with gRPC's INTERNAL instead of containerd's own words.

Race-free: the only state is that of `RememberedPulls`, which awaits nothing.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from bootseer.errors import BootseerError
from snapshotter.registry.credentials import Credentials
from snapshotter.registry.logins.docker import credentials_in
from snapshotter.registry.logins.matching import split_entry
from snapshotter.registry.logins.remembered import RememberedPulls
from snapshotter.registry.reference import Reference, parse_reference
from snapshotter.service.protos.images_pb2 import AuthConfig, PullImageRequest
from snapshotter.service.unix_socket import listen, withdraw

log = logging.getLogger(__name__)

_SERVICES: Final = ("/runtime.v1.ImageService/", "/runtime.v1alpha2.ImageService/")
_PULL: Final = "PullImage"
_MESSAGE: Final = 64 << 20
_CALL_S: Final = 3600.0
"""For a call whose client sets no time-out."""
_OPTIONS: Final = [
    ("grpc.max_receive_message_length", _MESSAGE),
    ("grpc.max_send_message_length", _MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
_OURS: Final = ("grpc-", ":", "user-agent", "content-type", "te")
"""Beginnings of headers that each connection has of its own."""


@dataclass(frozen=True, slots=True)
class Pull:
    """What a pull says of itself."""

    reference: Reference
    credentials: Credentials


def seen(request: bytes) -> Pull | None:
    """Return what a PullImageRequest brings for its own registry; None if that is nothing."""
    try:
        parsed = PullImageRequest.FromString(request)
        reference = parse_reference(parsed.image.image)
        credentials = _credentials(parsed.auth)
    except (DecodeError, BootseerError):
        return None
    meant = parsed.auth.server_address
    if credentials is None or (meant and split_entry(meant)[0] != reference.host):
        return None
    return Pull(reference, credentials)


def _credentials(auth: AuthConfig) -> Credentials | None:
    return credentials_in(
        username=auth.username,
        password=auth.password,
        auth=auth.auth,
        identity_token=auth.identity_token,
        registry_token=auth.registry_token,
        where="PullImageRequest",
    )


class _Forward(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Handles every method of the image service alike: on the wire they differ in nothing."""

    def __init__(self, channel: aio.Channel, pulls: RememberedPulls) -> None:
        self._channel = channel
        self._pulls = pulls

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return who handles a method; None for those of other services."""
        method = handler_call_details.method
        if not method.startswith(_SERVICES):
            return None

        async def forward(
            request: bytes, context: "aio.ServicerContext[bytes, bytes]"
        ) -> AsyncIterator[bytes]:
            async for answer in self._forward(method, request, context):
                yield answer

        return grpc.unary_stream_rpc_method_handler(forward)

    async def _forward(
        self, method: str, request: bytes, context: "aio.ServicerContext[bytes, bytes]"
    ) -> AsyncIterator[bytes]:
        new = self._remember(request) if method.endswith(_PULL) else None
        remaining = context.time_remaining()
        call = self._channel.unary_stream(method, bytes, bytes)(
            request,
            timeout=_CALL_S if remaining is None else remaining,
            metadata=[
                (key, value)
                for key, value in context.invocation_metadata() or ()
                if not key.startswith(_OURS)
            ],
        )
        try:
            async for answer in call:
                yield answer
            context.set_trailing_metadata(tuple(await call.trailing_metadata()))
        except aio.AioRpcError as error:
            if new is not None:
                self._pulls.forget(new.reference.host, new.reference.path, new.credentials)
            trailing: Any = tuple(error.trailing_metadata())
            await context.abort(error.code(), error.details() or "", trailing)
        finally:
            call.cancel()

    def _remember(self, request: bytes) -> Pull | None:
        """Keep the credentials of a pull; return it if they are new."""
        pull = seen(request)
        if pull is None:
            return None
        where = pull.reference
        if not self._pulls.remember(where.host, where.path, pull.credentials):
            return None
        log.info("registry.pull_remembered", extra={"fields": {"repository": where.name}})
        return pull


@asynccontextmanager
async def serve_image_proxy(
    path: str, containerd: str, pulls: RememberedPulls, *, grace: float = 5.0
) -> AsyncIterator[None]:
    """Serve at a Unix socket that only we may connect to, until the block ends.

    Nothing is served where `path` is empty. `containerd`: its socket. In the end calls under way
    have `grace` seconds to finish.

    Raises:
        HostError, UsageError: the socket cannot be had.
    """
    if not path:
        yield
        return
    async with aio.insecure_channel(f"unix:{containerd}", options=_OPTIONS) as channel:
        server = aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((_Forward(channel, pulls),))
        try:
            inode = await listen(server, Path(path))
            log.info("images service listens", extra={"fields": {"socket": path}})
            try:
                yield
            finally:
                withdraw(Path(path), inode)
        finally:
            await server.stop(grace)
