"""Fetches what the dynamic loader is about to read of a program and of all that it is linked with.

Who runs a program waits for a hundred libraries, one after the other, twice each: the loader reads
the beginning of a file, then its dynamic section, which names the next libraries; once it has all
of them it goes through their relocations and what those change. All of that follows from the
bytes. So when the beginning of an ELF file is read, its libraries are followed here, many at once,
and are there, or on their way, when the loader comes to them.

Race-free: the event loop's thread only. A file enters `_known` before the first await of its being
followed, so it is followed once; a task enters `_tasks` before its first await, or finds `_closed`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from bootseer.errors import BootseerError
from snapshotter.linking.elf import FRONT, MAGIC, Dynamic, read_dynamic, read_front

log = logging.getLogger(__name__)

_AT_ONCE: Final = 3
"""Fetches under way: the link is shared with what somebody waits for."""
_PIECE: Final = 1 << 20
"""Bytes of the data area that are brought at once."""
_NAME: Final = 256
"""Longest name of a library, with its NUL."""
_NEAR: Final = 4096
"""Names that are no further apart are read together: linkers write them side by side."""


_T = TypeVar("_T")


class Layer(Protocol):
    """What is needed of a layer's data area."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def in_order(self, end: int) -> bool:
        """Say whether the last read up to `end` was one of many in order."""
        ...

    async def bring(self, start: int, length: int) -> None:
        """Have a part of it here; raises BootseerError or OSError."""
        ...

    async def read(self, offset: int, length: int, *, alone: bool = False) -> bytes | bytearray:
        """Return a part of it."""
        ...


@dataclass(slots=True)
class Following:
    """What all layers share."""

    spawn: Callable[[Coroutine[Any, Any, None]], object]
    most: int
    """Bytes of the data area that are fetched for one program; 0: nothing is followed."""
    places: asyncio.Semaphore


def following(spawn: Callable[[Coroutine[Any, Any, None]], object], most: int) -> Following:
    """Return what all layers share."""
    return Following(spawn, most, asyncio.Semaphore(_AT_ONCE))


class Libraries:
    """Follows the programs and libraries of one layer."""

    def __init__(self, layer: Layer, places: Mapping[str, int], shared: Following) -> None:
        """`places`: where libraries begin, by name."""
        self._layer = layer
        self._places = places
        self._shared = shared
        self._known: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def seen(self, offset: int, data: bytes | bytearray) -> None:
        """Note what was read; never waits. Who reads all that there is gets it without our help."""
        if not (data.startswith(MAGIC) and self._shared.most) or offset in self._known:
            return
        if not self._layer.in_order(offset + len(data)):
            self._known.add(offset)
            self._shared.spawn(self._follow(offset))

    async def close(self) -> None:
        """Follow nothing any more; the layer may be closed then."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, offset: int) -> None:
        task = asyncio.current_task()
        if self._closed or task is None:
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._bring_all(offset)
        except* (BootseerError, OSError) as errors:
            # Who needs it asks for it, and is told.
            fields = {"offset": offset, "reason": str(errors.exceptions[0])}
            log.debug("linking.given_up", extra={"fields": fields})

    async def _bring_all(self, first: int) -> None:
        found = await self._bring_named(first)
        left = self._shared.most
        parts: list[Coroutine[Any, Any, None]] = []
        for offset, dynamic in reversed(found):  # in the loader's order
            for part in dynamic.touched:
                if len(part) <= left:
                    left -= len(part)
                    parts += self._pieces(offset + part.start, len(part))
        await self._all(parts)

    async def _bring_named(self, first: int) -> list[tuple[int, Dynamic]]:
        """Bring beginnings and dynamic sections of a file and of all that it needs, breadth first;
        return what they say."""
        found: list[tuple[int, Dynamic]] = []
        level = [first]
        while level:
            dynamics = await self._all(map(self._library, level))
            fresh = [(at, one) for at, one in zip(level, dynamics, strict=True) if one is not None]
            found += fresh
            needed = await self._all(self._needed(*one) for one in fresh)
            level = []
            for offset in (place for places in needed for place in places):
                if offset not in self._known:
                    self._known.add(offset)
                    level.append(offset)
        return found

    def _pieces(self, start: int, length: int) -> list[Coroutine[Any, Any, None]]:
        return [
            self._bring(start + at, min(_PIECE, length - at)) for at in range(0, length, _PIECE)
        ]

    async def _all(self, work: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
        return [task.result() for task in tasks]

    async def _library(self, offset: int) -> Dynamic | None:
        front = read_front(await self._read(offset, FRONT))
        if front is None:
            return None
        data = await self._read(offset + front.dynamic.start, len(front.dynamic))
        return read_dynamic(front, data)

    async def _needed(self, offset: int, dynamic: Dynamic) -> list[int]:
        names: dict[int, str] = {}
        for near in _neighbours(dynamic.names):
            data = bytes(await self._read(offset + near[0], near[-1] - near[0] + _NAME))
            for at in near:
                name = data[at - near[0] :].partition(b"\0")[0]
                names[at] = name.decode("utf-8", "surrogateescape")
        found = (self._places.get(names[at]) for at in dynamic.names)
        return [place for place in found if place is not None]

    async def _read(self, offset: int, length: int) -> bytes | bytearray:
        await self._bring(offset, length)
        return await self._layer.read(offset, length, alone=True)

    async def _bring(self, start: int, length: int) -> None:
        length = min(length, self._layer.size - start)
        if length > 0:
            async with self._shared.places:
                await self._layer.bring(start, length)


def _neighbours(places: Iterable[int]) -> list[list[int]]:
    """Sort places, and tell those apart that are not near each other."""
    groups: list[list[int]] = []
    for place in sorted(places):
        if groups and place - groups[-1][-1] <= _NEAR:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
