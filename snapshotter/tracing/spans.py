"""Records spans. Who is traced pays for a clock and a place in a list, and never waits.

A span that begins inside another, in the same task or in one that it starts, is its child. Spans
are kept until somebody takes them; beyond a number they are dropped and counted.

Race-free: the event loop's thread only. What is current is a context variable, which each task has
to itself.
"""

import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from bootseer.events.event import Value

PENDING: Final = 4096
"""Spans that wait to be taken at most."""


@dataclass(slots=True)
class Span:
    """Something that took time."""

    name: str
    trace: str
    """32 hex digits: what all spans of one call have in common."""
    identity: str
    """16 hex digits."""
    parent: str
    """The identity of the span that it is in; empty for the outermost."""
    begin_ns: int
    """Since 1970."""
    attributes: dict[str, Value] = field(default_factory=dict)
    end_ns: int = 0
    error: str = ""
    """What ended it, where that was an exception."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Say more of it."""
        self.attributes.update(attributes)


_current: ContextVar[Span | None] = ContextVar("span", default=None)


class Tracer:
    """Keeps spans until they are taken."""

    def __init__(self, *, on: bool, pending: int = PENDING) -> None:
        self.on = on
        self.lost = 0
        """Spans that were dropped (a count)."""
        self._pending = pending
        self._done: deque[Span] = deque()

    @contextmanager
    def span(self, name: str, **attributes: Value) -> Iterator[Span]:
        """Record the block as a span; what is yielded takes more attributes."""
        if not self.on:
            yield _NOTHING
            return
        above = _current.get()
        span = Span(
            name,
            above.trace if above else secrets.token_hex(16),
            secrets.token_hex(8),
            above.identity if above else "",
            time.time_ns(),
            attributes,
        )
        token = _current.set(span)
        began = time.monotonic_ns()
        try:
            yield span
        except BaseException as error:
            span.error = type(error).__name__
            raise
        finally:
            _current.reset(token)
            span.end_ns = span.begin_ns + time.monotonic_ns() - began
            self._keep(span)

    def take(self, most: int) -> list[Span]:
        """Return the oldest spans, so many at most, and forget them."""
        return [self._done.popleft() for _ in range(min(most, len(self._done)))]

    def _keep(self, span: Span) -> None:
        if len(self._done) >= self._pending:
            self.lost += 1
        else:
            self._done.append(span)


class _Nothing(Span):
    """Takes attributes of what nobody traces."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Forget them."""


_NOTHING: Final = _Nothing("", "", "", "", 0)
OFF: Final = Tracer(on=False)
"""Records nothing."""
