"""How endpoints have done lately, and hence who is asked first. No I/O.

One that could not be reached is asked last for a while; after that a single call finds out whether
it is back, and all others wait for the outcome elsewhere. One that did badly about a single blob
(lacks it, ignores ranges, sent wrong bytes) is asked last about that blob only.

Race-free: called by the event loop's thread only, and nothing here awaits.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from cachetools import TTLCache

from snapshotter.registry.hosts import Endpoint

Topic = tuple[str, str]
"""What a call is about: repository path and digest of a blob."""

_TOPICS: Final = 4096
"""Pairs of endpoint and topic that are remembered."""


class Standing:
    """What is remembered of endpoints. Nobody is ruled out: only the order changes."""

    def __init__(
        self, pause: float, memory: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`pause`: seconds for which one that could not be reached is asked last; `memory`: the
        same for one that did badly about a topic.
        """
        self._pause = pause
        self._clock = clock
        self._down: dict[str, float] = {}
        self._poor: TTLCache[tuple[str, Topic], None] = TTLCache(_TOPICS, memory, timer=clock)

    def order(self, endpoints: Sequence[Endpoint], topic: Topic | None) -> tuple[Endpoint, ...]:
        """Return the endpoints as configured, but the good before the bad, as one call tries them.

        A call that is given an endpoint first whose pause is over is the one that finds out.
        """
        now = self._clock()

        def badness(endpoint: Endpoint) -> int:
            if self._down.get(endpoint.base, now) > now:
                return 2
            return int(topic is not None and (endpoint.base, topic) in self._poor)

        ordered = tuple(sorted(endpoints, key=badness))
        if ordered and ordered[0].base in self._down:
            self._down[ordered[0].base] = now + self._pause
        return ordered

    def unreachable(self, endpoint: Endpoint) -> bool:
        """Note that an endpoint could not be reached, or failed; say whether that is news."""
        news = endpoint.base not in self._down
        self._down[endpoint.base] = self._clock() + self._pause
        return news

    def answered(self, endpoint: Endpoint) -> bool:
        """Note that an endpoint delivered; say whether that is news."""
        return self._down.pop(endpoint.base, None) is not None

    def poor(self, endpoint: Endpoint, topic: Topic) -> None:
        """Note that an endpoint did badly about a topic."""
        self._poor[endpoint.base, topic] = None
