"""A call to a registry: every endpoint that may answer, each with its tries and pauses.

Concurrency: event loop only. `_endpoints` and `standing` are read and changed without an await in
between; a stale entry costs one question to the wrong endpoint, never a wrong answer.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cachetools import LRUCache, TTLCache

from bootseer.errors import BootseerError, CorruptError, NotFoundError, RemoteError, UsageError
from snapshotter.registry.breaker import Breaker, HeldBackError
from snapshotter.registry.hosts import PULL, Endpoint
from snapshotter.registry.reference import Reference
from snapshotter.registry.retry import Attempts, HttpError
from snapshotter.registry.settings import ClientSettings
from snapshotter.registry.standing import Standing, Topic
from snapshotter.registry.statistics import Statistics

T = TypeVar("T")

log = logging.getLogger(__name__)

_REREAD_S: Final = 10.0
"""Seconds after which `hosts.toml` is read again: operators change mirrors of running nodes."""

FAILURES: Final = (NotFoundError, RemoteError, CorruptError)
"""What one endpoint may answer while another can still do better."""


class Calls:
    """Runs operations against the endpoints of a registry until one succeeds."""

    def __init__(self, settings: ClientSettings, statistics: Statistics) -> None:
        self._settings = settings
        self._statistics = statistics
        self._standing = Standing(settings.endpoint_pause, settings.mirror_memory)
        self._breaker = Breaker(settings.breaker)
        self._endpoints: TTLCache[str, tuple[Endpoint, ...]] = TTLCache(256, _REREAD_S)
        self._usable: LRUCache[str, tuple[Endpoint, ...]] = LRUCache(256)

    async def endpoints(self, reference: Reference, capability: str) -> tuple[Endpoint, ...]:
        """Return who may be asked, in the configured order, at least one.

        Raises:
            UsageError: nobody is, or the configuration is malformed.
        """
        every = self._endpoints.get(reference.host)
        if every is None:
            every = await self._configured(reference.host)
        able = tuple(endpoint for endpoint in every if capability in endpoint.capabilities)
        if not able:
            raise UsageError(
                f"no endpoint of {reference.host} may {capability}",
                hint="see capabilities in the registry's hosts.toml",
            )
        return able

    async def _configured(self, host: str) -> tuple[Endpoint, ...]:
        """Read who is asked for a registry; as before, if the files make no sense any more."""
        try:
            every = await asyncio.to_thread(self._settings.hosts.endpoints, host)
        except UsageError as error:
            before = self._usable.get(host)
            if before is None:
                raise
            fields = {"reason": error.message, "do": "what was there before counts until then"}
            log.error("registry.hosts.unusable", extra={"fields": fields})
            every = before
        self._endpoints[host] = self._usable[host] = every
        return every

    async def attempts(
        self, reference: Reference, capability: str, topic: Topic | None = None
    ) -> Attempts[Endpoint]:
        """Return the tries that a call with this capability has."""
        able = await self.endpoints(reference, capability)
        ordered = self._standing.order(able, topic)
        return Attempts(ordered, self._settings.retries, authority=able[-1])

    async def run(
        self,
        reference: Reference,
        capability: str,
        operation: Callable[[Endpoint], Awaitable[T]],
        topic: Topic | None = None,
    ) -> T:
        """Return the first success of `operation`.

        Raises:
            NotFoundError, RemoteError, CorruptError: nobody succeeded.
        """
        attempts = await self.attempts(reference, capability, topic)
        while True:
            endpoint = attempts.current
            try:
                self.admit(endpoint)
                result = await operation(endpoint)
            except FAILURES as error:
                await self.after(attempts, error, topic)
            else:
                self.answered(endpoint)
                return result

    def admit(self, endpoint: Endpoint) -> None:
        """Return if an endpoint may be asked now.

        Raises:
            HeldBackError: it fails all the time, or asked to be left alone.
        """
        self._breaker.admit(endpoint.base)

    def answered(self, endpoint: Endpoint) -> None:
        """Note that an endpoint delivered."""
        self._breaker.answered(endpoint.base)
        if self._standing.answered(endpoint):
            log.info("registry.endpoint_back", extra={"fields": {"endpoint": endpoint.base}})

    def poor(self, endpoint: Endpoint, topic: Topic) -> None:
        """Ask an endpoint last about a topic for a while, though it did answer."""
        self._standing.poor(endpoint, topic)

    async def doubt(self, reference: Reference, topic: Topic) -> None:
        """Ask all but the registry itself last about a topic: somebody sent wrong bytes."""
        for endpoint in (await self.endpoints(reference, PULL))[:-1]:
            self._standing.poor(endpoint, topic)

    async def after(
        self, attempts: Attempts[Endpoint], error: BootseerError, topic: Topic | None = None
    ) -> None:
        """Wait until `attempts.current` may be asked, after the call before failed with `error`.

        Raises:
            BootseerError: there is nobody left to ask.
        """
        endpoint, failures = attempts.current, attempts.failures
        self._break(endpoint, error)
        # Not a secret: it only spreads retries.
        pause = attempts.failed(error, random.random())  # noqa: S311
        self._statistics.retries += 1
        if attempts.current != endpoint:
            self._demote(endpoint, error, topic)
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

    def _break(self, endpoint: Endpoint, error: BootseerError) -> None:
        """Note what a failure says of the host."""
        if isinstance(error, HeldBackError):
            return
        wait = min(
            getattr(error, "retry_after", None) or 0.0, self._settings.retries.longest_retry_after
        )
        if wait:
            self._breaker.hold(endpoint.base, wait)
        if not isinstance(error, RemoteError) or not error.temporary or _alive(error):
            self._breaker.answered(endpoint.base)
        elif self._breaker.failed(endpoint.base):
            fields = {"endpoint": endpoint.base, "reason": error.message}
            log.warning("registry.endpoint_failing", extra={"fields": fields})

    def _demote(self, endpoint: Endpoint, error: BootseerError, topic: Topic | None) -> None:
        """Ask an endpoint that failed for good last for a while."""
        if isinstance(error, RemoteError) and error.temporary:
            if self._standing.unreachable(endpoint):
                fields = {
                    "endpoint": endpoint.base,
                    "asked_last_s": self._settings.endpoint_pause,
                    "reason": error.message,
                }
                log.warning("registry.endpoint_aside", extra={"fields": fields})
        elif topic is not None:
            self._standing.poor(endpoint, topic)


def _alive(error: BootseerError) -> bool:
    """Say whether a failure shows that there is somebody: he wants fewer questions, that is all."""
    return isinstance(error, HttpError) and error.status == 429
