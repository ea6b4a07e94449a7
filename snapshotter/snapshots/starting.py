"""What containers get in the place of their layers.

It is decided when their snapshot is made, by the snapshot's labels. When containerd then asks for
the mounts to start the container, the container is there: if its labels or its pod's annotations
say something else, it is decided again. In between the mounts serve containerd itself, which looks
up users and groups in them.

Race-free: the event loop's thread only; of several who ask for the mounts of one container at once,
the first decides and the others wait for it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from cachetools import LRUCache

from snapshotter.snapshots import labels as label_rules
from snapshotter.snapshots.lazy import LazyLayers
from snapshotter.snapshots.ports import ContainerLabels, StartRequest
from snapshotter.snapshots.waiting import KeyedLocks

_REMEMBERED: Final = 4096
"""Containers that were made and not started; one that is forgotten is not decided again."""

Name: TypeAlias = tuple[str, str]
"""A plugin's name, and a snapshot's."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What a container got by its snapshot's labels."""

    start: StartRequest
    stand_ins: Mapping[str, str]


class Starting:
    """Containers that are to start."""

    def __init__(self, lazy: LazyLayers, containers: ContainerLabels | None) -> None:
        """`containers`: who knows them; None: snapshots' labels are all there is."""
        self._lazy = lazy
        self._containers = containers
        self._given: LRUCache[Name, _Given] = LRUCache(_REMEMBERED)
        self._deciding = KeyedLocks()

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        """Return what is to be stored with the snapshot of a container to be."""
        return await self._lazy.stand_ins(start)

    def made(self, name: Name, start: StartRequest, stand_ins: Mapping[str, str]) -> None:
        """Note that a snapshot was made; what it got may change until its container starts."""
        if self._containers is not None and not label_rules.says_how_to_start(start.labels):
            self._given[name] = _Given(start, stand_ins)

    def forget(self, name: Name) -> None:
        """Change nothing any more: the snapshot is gone."""
        self._given.pop(name, None)

    async def decide(
        self, name: Name, store: Callable[[Mapping[str, str]], Awaitable[None]]
    ) -> None:
        """Decide again if the container is there and says how it starts.

        `store` keeps the new stand-ins with the snapshot, in the place of the old ones; what it
        raises is raised.
        """
        if name not in self._given or self._containers is None:
            return
        async with self._deciding.hold(name):
            given = self._given.get(name)
            labels = await self._containers.labels(name[1]) if given else None
            if given is None or labels is None:
                return
            self._given.pop(name, None)
            if labels:
                start = replace(given.start, labels={**given.start.labels, **labels})
                await self._exchange(given.stand_ins, await self._lazy.stand_ins(start), store)

    async def _exchange(
        self,
        old: Mapping[str, str],
        new: Mapping[str, str],
        store: Callable[[Mapping[str, str]], Awaitable[None]],
    ) -> None:
        try:
            await store(new)
        except BaseException:
            self._lazy.withdraw(set(new.values()) - set(old.values()))  # the snapshot is gone
            raise
        self._lazy.withdraw(set(old.values()) - set(new.values()))
