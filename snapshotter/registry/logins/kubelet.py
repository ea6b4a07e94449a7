"""Asks the kubelet's credential provider plugins, as the kubelet does, and keeps answers as long.

Race-free: one event loop's thread. `_answers` is read and changed without an await in between; two
calls that find no answer at once run the plugin twice, and either answer is good.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cachetools import LRUCache

from bootseer.errors import BootseerError, UsageError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.credentials import Credentials
from snapshotter.registry.logins.kubelet_config import (
    Answer,
    CacheKey,
    Provider,
    parse_answer,
    parse_provider_config,
    question,
)
from snapshotter.registry.logins.matching import best_first
from snapshotter.registry.logins.program import ask_program

log = logging.getLogger(__name__)

_ANSWERS: Final = 1024

_Key = tuple[str, CacheKey, str]


@dataclass(frozen=True, slots=True)
class _Known:
    answer: Answer
    good_until: float


class KubeletPlugins:
    """The credentials that a kubelet's plugins know. A worker that is handed one asks anew."""

    def __init__(
        self,
        config: Path,
        directory: Path,
        limits: Limits = DEFAULT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """What the kubelet's flags say.

        Args:
            config: `--image-credential-provider-config`, read anew each time.
            directory: `--image-credential-provider-bin-dir`.
            limits: for what files and plugins say.
            clock: counts seconds.
        """
        self._config = config
        self._directory = directory
        self._limits = limits
        self._clock = clock
        self._answers: LRUCache[_Key, _Known] = LRUCache(_ANSWERS)

    def __reduce__(self) -> tuple[type["KubeletPlugins"], tuple[Path, Path, Limits]]:
        """Pickle without the answers: they are secrets, and a worker lives for one job."""
        return KubeletPlugins, (self._config, self._directory, self._limits)

    async def offers(self, host: str, repository: str) -> AsyncGenerator[Credentials]:
        """Yield what the plugins say of a repository: first what they said before, while it lasts.

        Raises:
            UsageError: the configuration cannot be understood.
        """
        for provider in await asyncio.to_thread(self._providers):
            if not provider.knows(host, repository):
                continue
            for answer in self._remembered(provider, host, repository):
                for key in best_first(answer.auth, host, repository):
                    yield answer.auth[key]
            fresh = await self._ask(provider, host, repository)
            if fresh is not None:
                for key in best_first(fresh.auth, host, repository):
                    yield fresh.auth[key]

    def _providers(self) -> tuple[Provider, ...]:
        try:
            with self._config.open(encoding="utf-8") as file:
                text = file.read(self._limits.local_config + 1)
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {self._config}: {error}") from None
        if len(text) > self._limits.local_config:
            raise UsageError(f"{self._config} is too large")
        return parse_provider_config(text, str(self._config))

    def _remembered(self, provider: Provider, host: str, repository: str) -> list[Answer]:
        now = self._clock()
        known = [self._answers.get(key) for key in _keys(provider, host, repository).values()]
        return [one.answer for one in known if one is not None and one.good_until > now]

    async def _ask(self, provider: Provider, host: str, repository: str) -> Answer | None:
        """Run a plugin; None if it fails, which is logged."""
        if provider.service_account:
            fields = {"plugin": provider.name, "do": "give it credentials of the node"}
            log.warning("registry.plugin_needs_service_account", extra={"fields": fields})
            return None
        program = self._directory / provider.name
        try:
            data = await ask_program(
                (program, *provider.arguments),
                question(provider, host, repository),
                most=self._limits.token,
                environment=dict(provider.environment),
            )
            answer = parse_answer(data, provider, self._limits.token)
        except BootseerError as error:
            fields = {"plugin": provider.name, "registry": host, "reason": error.message}
            log.warning("registry.plugin_failed", extra={"fields": fields})
            return None
        lasts = provider.default_cache_s if answer.cache_s is None else answer.cache_s
        key = _keys(provider, host, repository)[answer.key]
        if lasts > 0:
            self._answers[key] = _Known(answer, self._clock() + lasts)
        else:
            self._answers.pop(key, None)
        return answer


def _keys(provider: Provider, host: str, repository: str) -> dict[CacheKey, _Key]:
    """Return under what an answer is kept, for each way in which it may be good for others."""
    names = {CacheKey.IMAGE: f"{host}/{repository}", CacheKey.REGISTRY: host, CacheKey.GLOBAL: ""}
    return {kind: (provider.name, kind, name) for kind, name in names.items()}
