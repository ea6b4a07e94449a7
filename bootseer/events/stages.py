"""Tells of stages: what is handed to whoever does something that takes time at a start."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from bootseer.events.event import Event, Origin, Phase, Value

NOTHING: Final[Mapping[str, Value]] = MappingProxyType({})


class Sink(Protocol):
    """Takes events."""

    def put(self, event: Event) -> None:
        """Take one. Never waits, never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A stage that goes on."""

    stage: str
    identity: str


@dataclass(frozen=True, slots=True)
class Stages:
    """Writes events of one origin. Without a sink it does nothing. Safe in threads."""

    origin: Origin
    sink: Sink | None

    def begin(
        self, stage: str, attributes: Mapping[str, Value] = NOTHING, identity: str | None = None
    ) -> Begun:
        """Say that a stage begins; return what `end` wants.

        `identity` is drawn at random where it is None; empty where who ends it does not know it.
        """
        drawn = os.urandom(6).hex() if identity is None and self.sink else identity or ""
        begun = Begun(stage, drawn)
        self._put(begun, Phase.BEGIN, attributes)
        return begun

    def end(self, begun: Begun, attributes: Mapping[str, Value] = NOTHING) -> None:
        """Say that it is over."""
        self._put(begun, Phase.END, attributes)

    @contextmanager
    def stage(self, name: str, /, **attributes: Value) -> Iterator[dict[str, Value]]:
        """Tell of what is done inside; what is put into the dictionary is said at its end.

        An exception is said as `error`, by its class, and goes on.
        """
        begun = self.begin(name, attributes)
        found: dict[str, Value] = {}
        try:
            yield found
        except BaseException as error:
            self.end(begun, {**found, "error": type(error).__name__})
            raise
        self.end(begun, found)

    def _put(self, begun: Begun, phase: Phase, attributes: Mapping[str, Value]) -> None:
        if self.sink is None:
            return
        self.sink.put(
            Event(
                self.origin,
                begun.stage,
                phase,
                time.time_ns(),
                time.monotonic_ns(),
                begun.identity,
                dict(attributes),
            )
        )


SILENT: Final = Stages(Origin(), None)
"""Tells nobody."""
