"""The life of lazily served layers: asked for, stored with a snapshot, let go of.

Concurrency
    The provider hands a layer out before the snapshot that keeps it is stored. A release that is
    decided in between would take it away from under the new snapshot. So `offered` holds a gate
    shared from the question to the stored snapshot, and a release looks whether the layer is in
    use and lets go of it alone behind the same gate. Releases wait for pulls, never the other way
    round for longer than one release; they run in tasks of their own, because Remove must be
    quick and must not fail.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import BootseerError, HostError, RemoteError
from snapshotter.snapshots.ports import LayerMount, LayerProvider, LayerRequest, StartRequest
from snapshotter.snapshots.waiting import Gate

_log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Layers of one image that are mounted at the same time after a restart."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a layer provider may take, in seconds."""

    provide: float = 30.0
    """Until containerd is told to unpack the layer itself."""
    ensure: float = 30.0
    """Until the mounts of a snapshot are said to be unavailable."""
    stand_ins: float = 5.0
    """Until a container starts on its layers as they were pulled."""
    release: float = 30.0
    """Until a layer that won't go is left for the next start; pulls may wait for it."""


class LazyLayers:
    """What the snapshotter core asks of a layer provider, with time-outs and in a safe order."""

    def __init__(
        self,
        provider: LayerProvider,
        in_use: Callable[[str], Awaitable[bool]],
        patience: Patience,
    ) -> None:
        self._provider = provider
        self._in_use = in_use
        self._patience = patience
        self._gate = Gate()
        self._releases: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def offered(self, request: LayerRequest) -> AsyncIterator[LayerMount | None]:
        """Ask for a layer; it is not released before the block ends, and after it if unused.

        None if containerd has to unpack it: it isn't the provider's, or can't be had (warned of).
        """
        async with self._gate.shared():
            mount = await self._ask(request)
            try:
                yield mount
            except BaseException:
                if mount:
                    self.release_soon(mount.layer)
                raise

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        """Return what a container gets in the place of its layers; nothing if that takes long."""
        try:
            async with asyncio.timeout(self._patience.stand_ins):
                return await self._provider.stand_ins(start)
        except TimeoutError:
            reason = f"not ready within {self._patience.stand_ins:g} s"
        except (BootseerError, OSError) as error:
            reason = str(error)
        except Exception:  # noqa: BLE001
            # What makes starts faster must never make one fail.
            _log.exception("layer provider failed", extra={"fields": {"image": start.image_ref}})
            reason = "unexpected error, logged above"
        fields = {"image": start.image_ref, "reason": reason}
        _log.warning("container starts on layers as they were pulled", extra={"fields": fields})
        return {}

    def path(self, layer: str) -> Path:
        """Return where the layer's tree is mounted."""
        return self._provider.path(layer)

    async def ensure(self, layers: Iterable[str]) -> None:
        """Make sure that layers are mounted. RemoteError or HostError naming the one that isn't."""
        for failure in (await self.try_all(layers)).values():
            raise failure

    async def try_all(self, layers: Iterable[str]) -> dict[str, BootseerError]:
        """Mount layers, some at a time; return those that can't be mounted now, and why."""
        places = asyncio.Semaphore(_AT_ONCE)
        failures: dict[str, BootseerError] = {}

        async def one(layer: str) -> None:
            async with places:
                try:
                    await self._ensure(layer)
                except BootseerError as error:
                    failures[layer] = error

        async with asyncio.TaskGroup() as group:
            for layer in dict.fromkeys(layers):
                group.create_task(one(layer))
        return failures

    def release_soon(self, layer: str) -> None:
        """Let go of a layer in the background, unless a snapshot uses it by then."""
        task = asyncio.create_task(self._release(layer), name=f"release {layer}")
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    def withdraw(self, stand_ins: Iterable[str]) -> None:
        """Take back stand-ins on which no container started."""
        for layer in stand_ins:
            self._provider.withdraw(layer)
            self.release_soon(layer)

    async def settle(self, seconds: float) -> None:
        """Wait for releases under way; those that take longer are left for the next start."""
        if not self._releases:
            return
        _, late = await asyncio.wait(self._releases, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _ask(self, request: LayerRequest) -> LayerMount | None:
        try:
            async with asyncio.timeout(self._patience.provide):
                return await self._provider.provide(request)
        except TimeoutError:
            reason = f"not ready within {self._patience.provide:g} s"
        except (BootseerError, OSError) as error:
            reason = str(error)
        except Exception:  # noqa: BLE001
            # A bug in one layer format must not make the image impossible to pull.
            _log.exception("layer provider failed", extra={"fields": _fields(request)})
            reason = "unexpected error, logged above"
        fields = {**_fields(request), "reason": reason}
        _log.warning("layer not served lazily, containerd unpacks it", extra={"fields": fields})
        return None

    async def _ensure(self, layer: str) -> None:
        try:
            async with asyncio.timeout(self._patience.ensure):
                await self._provider.ensure(layer)
        except TimeoutError:
            raise RemoteError(
                f"layer {layer} is not mounted after {self._patience.ensure:g} s",
                hint="the log says what it waits for",
                temporary=True,
            ) from None
        except BootseerError:
            raise
        except OSError as error:
            raise HostError(f"layer {layer} cannot be mounted: {error}") from error
        except Exception as error:
            _log.exception("layer provider failed", extra={"fields": {"layer": layer}})
            raise HostError(f"layer {layer} cannot be mounted", hint="see the log") from error

    async def _release(self, layer: str) -> None:
        try:
            async with self._gate.alone():
                if await self._in_use(layer):
                    return
                async with asyncio.timeout(self._patience.release):
                    await self._provider.release(layer)
        except (BootseerError, OSError, TimeoutError) as error:
            fields = {"layer": layer, "error": str(error) or type(error).__name__}
            _log.warning("layer not released", extra={"fields": fields})
        except Exception:  # noqa: BLE001
            # Nobody waits for this task: what isn't logged here is lost.
            _log.exception("layer provider failed", extra={"fields": {"layer": layer}})


def _fields(request: LayerRequest) -> dict[str, str]:
    return {
        "image": request.image_ref,
        "layer": request.layer_digest,
        "chain": request.chain_id,
    }
