"""Tells of containers that are created and started, by containerd's own events.

Two stages a container: `container.create`, from its record until the runtime has made it, with the
mounts of its snapshot in between; `container.start`, until its process runs.

Race-free: one task; what containers are between the two is a table that only it touches.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from google.protobuf.message import DecodeError
from grpc import aio

from bootseer.events.stages import Begun, Stages
from snapshotter.containers.protos.events_pb2 import (
    ContainerCreate,
    Envelope,
    SubscribeRequest,
    TaskChange,
)
from snapshotter.containers.protos.events_pb2_grpc import EventsStub

log = logging.getLogger(__name__)

CREATE: Final = "container.create"
START: Final = "container.start"
_TOPICS: Final = ("/containers/create", "/tasks/create", "/tasks/start")
_FILTERS: Final = [f'topic=="{topic}"' for topic in _TOPICS]
_AGAIN_S: Final = 2.0
_MOST: Final = 4096
"""Containers that were created and not started; the oldest are forgotten."""


class Happenings:
    """Turns containerd's events into startup events."""

    def __init__(self, socket: str, stages: Stages) -> None:
        """`socket`: containerd's; empty: nothing is known. `stages` hears of what happens."""
        self._socket = socket
        self._stages = stages
        self._going_on: OrderedDict[tuple[str, str], Begun] = OrderedDict()

    async def run(self) -> None:
        """Listen to containerd until cancelled, again and again where it is away.

        Ends at once where nobody hears of it.
        """
        if not (self._socket and self._stages.sink):
            return
        said = ""
        async with aio.insecure_channel(f"unix:{self._socket}") as channel:
            while True:
                try:
                    request = SubscribeRequest(filters=_FILTERS)
                    # No time-out: nothing may happen for days. A dead peer ends a local stream.
                    async for envelope in EventsStub(channel).Subscribe(request):
                        self.take(envelope)
                except aio.AioRpcError as error:
                    if (reason := str(error.details())) != said:
                        fields = {"socket": self._socket, "reason": reason}
                        log.info("container.events_ended", extra={"fields": fields})
                    said = reason
                await asyncio.sleep(_AGAIN_S)

    def take(self, envelope: Envelope) -> None:
        """Tell of one event of containerd's. What is no event that we know is passed over."""
        try:
            if envelope.topic == "/containers/create":
                created = ContainerCreate.FromString(envelope.event.value)
                self._begin(CREATE, envelope.namespace, created.id, created.image)
                return
            container = TaskChange.FromString(envelope.event.value).container_id
        except DecodeError:
            return
        if envelope.topic == "/tasks/create":
            self._end(CREATE, envelope.namespace, container)
            self._begin(START, envelope.namespace, container)
        elif envelope.topic == "/tasks/start":
            self._end(START, envelope.namespace, container)

    def _begin(self, stage: str, namespace: str, container: str, image: str = "") -> None:
        about = {"namespace": namespace, "container": container}
        begun = self._stages.begin(stage, about | ({"image": image} if image else {}))
        self._going_on[namespace, container] = begun
        if len(self._going_on) > _MOST:
            self._going_on.popitem(last=False)

    def _end(self, stage: str, namespace: str, container: str) -> None:
        begun = self._going_on.get((namespace, container))
        if begun is not None and begun.stage == stage:
            del self._going_on[namespace, container]
            self._stages.end(begun)
