"""Fixtures of a registry that does as it is told, a mirror of the same kind, and our client."""

from collections.abc import AsyncIterator

import pytest

from snapshotter.registry.client import RegistryClient
from tests.hostile_registry import QUICK, HostileRegistry, hostile_registry


@pytest.fixture
async def registry() -> AsyncIterator[HostileRegistry]:
    async with hostile_registry() as registry:
        yield registry


@pytest.fixture
async def mirror() -> AsyncIterator[HostileRegistry]:
    async with hostile_registry() as registry:
        yield registry


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    """A client that waits for nothing longer than a test wants to."""
    async with RegistryClient(QUICK) as client:
        yield client
