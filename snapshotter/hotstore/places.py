"""From the configuration's `hot.store` to the store."""

import contextlib
from collections.abc import AsyncIterator

from bootseer.errors import UsageError
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.ports import HotStore
from snapshotter.registry.client import RegistryClient


@contextlib.asynccontextmanager
async def open_hot_store(place: str, client: RegistryClient) -> AsyncIterator[HotStore]:
    """Open the store that a configuration names; usable inside the context only.

    Raises:
        UsageError: it names none.
    """
    if place == "registry":
        yield RegistryHotStore(client)
        return
    raise UsageError(f"hot.store: {place!r} is no store", hint="registry or file:///directory")
