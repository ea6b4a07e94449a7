"""What containers get in the place of their layers, and when that is decided.

At once, where the labels of the snapshot say how the container starts or nobody else could. Else
when containerd asks for the mounts: the container exists by then, and it is known what its labels
and its pod's annotations say.

Race-free: the event loop's thread only; of several who ask for the mounts of one container at once,
the first decides and the others wait for it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from cachetools import LRUCache

from snapshotter.snapshots import labels as label_rules
from snapshotter.snapshots.lazy import LazyLayers
from snapshotter.snapshots.ports import ContainerLabels, StartRequest
from snapshotter.snapshots.waiting import KeyedLocks

_REMEMBERED: Final = 4096
"""Containers that were made and not started; one that is forgotten starts on its layers."""

Name: TypeAlias = tuple[str, str]
"""A plugin's name, and a snapshot's."""


class Starting:
    """Containers that are to start."""

    def __init__(self, lazy: LazyLayers, containers: ContainerLabels | None) -> None:
        """`containers`: who knows them; None: snapshots' labels are all there is."""
        self._lazy = lazy
        self._containers = containers
        self._undecided: LRUCache[Name, StartRequest] = LRUCache(_REMEMBERED)
        self._deciding = KeyedLocks()

    def waits(self, start: StartRequest) -> bool:
        """Say whether it is decided later what a container gets."""
        return self._containers is not None and not label_rules.says_how_to_start(start.labels)

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        """Decide now; return what is to be stored with the snapshot."""
        return await self._lazy.stand_ins(start)

    def postpone(self, name: Name, start: StartRequest) -> None:
        """Decide when the snapshot is mounted first."""
        self._undecided[name] = start

    def forget(self, name: Name) -> None:
        """Decide nothing any more: the snapshot is gone."""
        self._undecided.pop(name, None)

    async def decide(
        self, name: Name, store: Callable[[Mapping[str, str]], Awaitable[None]]
    ) -> None:
        """Decide what was postponed, if it can be by now; `store` keeps it with the snapshot.

        Raises what `store` does.
        """
        if name not in self._undecided or self._containers is None:
            return
        async with self._deciding.hold(name):
            start = self._undecided.get(name)
            labels = await self._containers.labels(name[1]) if start else None
            if start is None or labels is None:
                return
            chosen = await self._lazy.stand_ins(replace(start, labels={**start.labels, **labels}))
            self._undecided.pop(name, None)
            try:
                await store(chosen)
            except BaseException:
                for layer in chosen.values():  # the snapshot may have been removed meanwhile
                    self._lazy.release_soon(layer)
                raise
