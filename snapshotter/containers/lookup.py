"""Asks containerd for the container whose snapshot is about to be mounted.

containerd hands no annotation of a pod and no label of a container to a container's snapshot, and
makes the snapshot before the container. But when it asks for the mounts to start it, the container
is there. It asks for them before, too: for users and groups, and for what an image has in volumes.

Race-free: it keeps no state.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from grpc import StatusCode, aio

from bootseer.errors import NotFoundError, RemoteError
from snapshotter.containers.metadata import Described, described, runtime_annotations
from snapshotter.containers.protos.containers_pb2 import Container, GetContainerRequest
from snapshotter.containers.protos.containers_pb2_grpc import ContainersStub
from snapshotter.containers.protos.sandbox_pb2 import Sandbox, StoreGetRequest
from snapshotter.containers.protos.sandbox_pb2_grpc import StoreStub
from snapshotter.starts.labels import NAMES, PREFIX

log = logging.getLogger(__name__)

_ANSWER_S: Final = 1.0
"""A container is not held up for longer than this by each question."""
_DOCKER: Final = "moby"
"""Docker's namespace. It mounts by itself, before it makes the container."""
_OPTIONS: Final = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

_Header: TypeAlias = tuple[tuple[str, str], ...]
"""Says which namespace a question is about."""


@dataclass(frozen=True, slots=True)
class ContainerFound:
    """A container as containerd knows it."""

    namespace: str
    name: str
    image: str
    """The image's reference; empty where its client names none."""
    snapshotter: str
    """The plugin's name."""
    key: str
    """Of its snapshot, as its client has it."""


class ContainerLookup:
    """The `snapshots.ports.ContainerLabels` of the daemon. Used inside `connected`."""

    def __init__(self, channel: aio.Channel) -> None:
        """`channel`: to containerd."""
        self._containers = ContainersStub(channel)
        self._sandboxes = StoreStub(channel)

    async def labels(self, key: str) -> Mapping[str, str] | None:
        """Return labels that say how a container starts; see `ContainerLabels`."""
        namespace, _, name = key.partition("/")
        name = name.partition("/")[2]
        if not name:
            return {}
        try:
            return await self._ask(namespace, name)
        except aio.AioRpcError as error:
            if error.code() is StatusCode.NOT_FOUND:
                return {} if namespace == _DOCKER else None
            reason = f"{error.code().name.lower()}: {error.details()}"
        except TimeoutError:
            reason = f"no answer within {_ANSWER_S:g} s"
        fields = {
            "container": name,
            "reason": reason,
            "do": "check `containerd` in the configuration",
        }
        log.warning("container.not_asked", extra={"fields": fields})
        return {}

    async def found(self, namespace: str, name: str) -> ContainerFound:
        """Return which image and snapshot a container has.

        Raises:
            NotFoundError: there is no such container.
            RemoteError: containerd does not say.
        """
        with _named(namespace, name):
            container = await self._container(name, (("containerd-namespace", namespace),))
        return ContainerFound(
            namespace, name, container.image, container.snapshotter, container.snapshot_key
        )

    async def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """Return the annotations of a container and its pod; what both have is the pod's.

        Not its labels: containerd takes those from the image as well, so that whoever made the
        image would speak here.

        Raises:
            NotFoundError: there is no such container.
            RemoteError: containerd does not say.
        """
        header = (("containerd-namespace", namespace),)
        with _named(namespace, name):
            container = await self._container(name, header)
            sandbox = container.sandbox or _described(container).sandbox
            pod = await self._pod(sandbox, header) if sandbox else Described()
        return {**runtime_annotations(container.spec.value), **pod.annotations}

    async def _ask(self, namespace: str, name: str) -> dict[str, str]:
        header = (("containerd-namespace", namespace),)
        container = await self._container(name, header)
        own = _described(container)
        pod: Mapping[str, str] = {}
        if sandbox := container.sandbox or own.sandbox:
            pod = (await self._pod(sandbox, header)).annotations
        return chosen(container.labels, own.annotations, pod)

    async def _container(self, name: str, header: _Header) -> Container:
        async with asyncio.timeout(_ANSWER_S):
            answer = await self._containers.Get(GetContainerRequest(id=name), metadata=header)
        return answer.container

    async def _pod(self, sandbox: str, header: _Header) -> Described:
        """Return what is known of a pod: from its container where there is no sandbox store."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                request = StoreGetRequest(sandbox_id=sandbox)
                answer = await self._sandboxes.Get(request, metadata=header)
            return _described(answer.sandbox)
        except aio.AioRpcError as error:
            if error.code() not in (StatusCode.NOT_FOUND, StatusCode.UNIMPLEMENTED):
                raise
        return _described(await self._container(sandbox, header))


@contextmanager
def _named(namespace: str, name: str) -> Iterator[None]:
    """Say of which container it was that containerd did not tell."""
    try:
        yield
    except aio.AioRpcError as error:
        if error.code() is StatusCode.NOT_FOUND:
            raise NotFoundError(f"there is no container {name} in {namespace}") from error
        raise RemoteError(f"containerd: {error.details()}", temporary=True) from error
    except TimeoutError as error:
        raise RemoteError(f"containerd: no answer within {_ANSWER_S:g} s") from error


def _described(kept: Container | Sandbox) -> Described:
    return described(extension.value for extension in kept.extensions.values())


def chosen(*nearest_first: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a snapshot that labels and annotations stand for; the nearest wins."""
    found = {}
    for mapping in reversed(nearest_first):
        for name in NAMES:
            value = mapping.get(PREFIX + name, "") or mapping.get(name, "")
            if value:
                found[PREFIX + name] = value
    return found


@asynccontextmanager
async def connected(socket: str) -> AsyncIterator[ContainerLookup | None]:
    """Have a look-up while the context is open (it connects when asked); None for an empty path."""
    if not socket:
        yield None
        return
    async with aio.insecure_channel(f"unix:{socket}", options=_OPTIONS) as channel:
        yield ContainerLookup(channel)
