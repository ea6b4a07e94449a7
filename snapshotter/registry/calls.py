"""A call to a registry: every endpoint that may answer, each with its tries and pauses.

Concurrency: event loop only. `_down` and `_endpoints` are read and changed without an await in
between; a stale entry costs one question to the wrong endpoint, never a wrong answer.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from cachetools import TTLCache

from bootseer.errors import BootseerError, CorruptError, NotFoundError, RemoteError, UsageError
from snapshotter.registry.hosts import Endpoint
from snapshotter.registry.reference import Reference
from snapshotter.registry.retry import Attempts
from snapshotter.registry.settings import ClientSettings
from snapshotter.registry.statistics import Statistics

T = TypeVar("T")

log = logging.getLogger(__name__)

_REREAD_S: Final = 10.0
"""Seconds after which `hosts.toml` is read again: operators change mirrors of running nodes."""

FAILURES: Final = (NotFoundError, RemoteError, CorruptError)
"""What one endpoint may answer while another can still do better."""


def in_order(
    endpoints: Sequence[Endpoint], down: Mapping[str, float], now: float
) -> tuple[Endpoint, ...]:
    """Return the endpoints as configured, those that could not be reached lately last."""
    return tuple(sorted(endpoints, key=lambda endpoint: down.get(endpoint.base, 0.0) > now))


class Calls:
    """Runs operations against the endpoints of a registry until one succeeds."""

    def __init__(self, settings: ClientSettings, statistics: Statistics) -> None:
        self._settings = settings
        self._statistics = statistics
        self._down: dict[str, float] = {}
        self._endpoints: TTLCache[str, tuple[Endpoint, ...]] = TTLCache(256, _REREAD_S)

    async def endpoints(self, reference: Reference, capability: str) -> tuple[Endpoint, ...]:
        """Return who may be asked, in the configured order, at least one.

        Raises:
            UsageError: nobody is, or the configuration is malformed.
        """
        every = self._endpoints.get(reference.host)
        if every is None:
            every = await asyncio.to_thread(self._settings.hosts.endpoints, reference.host)
            self._endpoints[reference.host] = every
        able = tuple(endpoint for endpoint in every if capability in endpoint.capabilities)
        if not able:
            raise UsageError(
                f"no endpoint of {reference.host} may {capability}",
                hint="see capabilities in the registry's hosts.toml",
            )
        return able

    async def attempts(self, reference: Reference, capability: str) -> Attempts[Endpoint]:
        """Return the tries that a call with this capability has."""
        able = await self.endpoints(reference, capability)
        ordered = in_order(able, self._down, time.monotonic())
        return Attempts(ordered, self._settings.retries, authority=able[-1])

    async def run(
        self,
        reference: Reference,
        capability: str,
        operation: Callable[[Endpoint], Awaitable[T]],
    ) -> T:
        """Return the first success of `operation`.

        Raises:
            NotFoundError, RemoteError, CorruptError: nobody succeeded.
        """
        attempts = await self.attempts(reference, capability)
        return await self.exhaust(attempts, operation)

    async def exhaust(
        self, attempts: Attempts[Endpoint], operation: Callable[[Endpoint], Awaitable[T]]
    ) -> T:
        """Do what `run` does, with these attempts."""
        while True:
            endpoint = attempts.current
            try:
                result = await operation(endpoint)
            except FAILURES as error:
                await self.after(attempts, error)
            else:
                self._down.pop(endpoint.base, None)
                return result

    async def after(self, attempts: Attempts[Endpoint], error: BootseerError) -> None:
        """Wait until `attempts.current` may be asked, after the call before failed with `error`.

        Raises:
            BootseerError: there is nobody left to ask.
        """
        endpoint, failures = attempts.current, attempts.failures
        # Not a secret: it only spreads retries.
        pause = attempts.failed(error, random.random())  # noqa: S311
        self._statistics.retries += 1
        if attempts.current != endpoint and isinstance(error, RemoteError) and error.temporary:
            self._down[endpoint.base] = time.monotonic() + self._settings.endpoint_pause
        fields = {
            "endpoint": endpoint.base,
            "next": attempts.current.base,
            "pause_s": round(pause, 3),
            "reason": error.message,
        }
        # A mirror that lacks something is daily life; what fails again and again is news.
        level = logging.DEBUG if isinstance(error, NotFoundError) else logging.INFO
        log.log(
            logging.WARNING if failures > 1 else level,
            "registry.retry",
            extra={"fields": fields},
        )
        await asyncio.sleep(pause)
