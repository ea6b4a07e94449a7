"""Mirrors that lack things, ignore ranges, lie, die and come back: no read fails, none waits long.

Against the simulator; the same with a real cache is in `tests/integration/test_mirrors.py`.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bootseer.digests import digest_of
from bootseer.errors import NotFoundError
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.hosts import HostsDirectory
from snapshotter.registry.settings import ClientSettings, Timeouts
from tests import hostile_registry as hostile
from tests.hostile_fixtures import mirror
from tests.hostile_registry import QUICK, HostileRegistry, hostile_registry

__all__ = ["mirror"]

DATA = bytes(range(256)) * 100


@pytest.fixture
async def registry() -> AsyncIterator[HostileRegistry]:
    async with hostile_registry() as made:
        made.blob(DATA)
        yield made


@pytest.fixture
def settings(tmp_path: Path, registry: HostileRegistry, mirror: HostileRegistry) -> ClientSettings:
    """A node that is to ask the mirror first."""
    directory = tmp_path / registry.host
    directory.mkdir()
    (directory / "hosts.toml").write_text(f'[host."http://{mirror.host}"]\n')
    return replace(QUICK, hosts=HostsDirectory(directories=(tmp_path,)))


async def read(client: RegistryClient, registry: HostileRegistry, data: bytes = DATA) -> None:
    """Read the middle of a blob; fails unless it comes out right."""
    found = await client.blobs.read(registry.reference(), digest_of(data), 1000, 500)
    assert found == data[1000:1500]


async def test_a_mirror_that_lacks_a_blob_is_not_asked_for_each_part_of_it(
    registry: HostileRegistry, mirror: HostileRegistry, settings: ClientSettings
) -> None:
    other = bytes(reversed(DATA))
    registry.blob(other)
    mirror.blob(other)
    async with RegistryClient(settings) as client:
        for _ in range(10):
            await read(client, registry)
        assert len(mirror.seen) == 1
        await read(client, registry, other)
        assert len(mirror.seen) == 2, "of other blobs nothing is known"
        assert len(registry.seen) == 10


async def test_a_mirror_that_got_a_blob_meanwhile_is_asked_again(
    registry: HostileRegistry, mirror: HostileRegistry, settings: ClientSettings
) -> None:
    async with RegistryClient(replace(settings, mirror_memory=0.05)) as client:
        await read(client, registry)
        mirror.blob(DATA)
        await asyncio.sleep(0.1)
        registry.seen.clear()
        await read(client, registry)
    assert registry.seen == []


async def test_what_nobody_else_has_is_still_asked_of_a_mirror_that_lacked_it(
    registry: HostileRegistry, mirror: HostileRegistry, settings: ClientSettings
) -> None:
    async with RegistryClient(settings) as client:
        await read(client, registry)
        mirror.blob(DATA)
        registry.on("blob", hostile.answers(503))
        await read(client, registry)


async def test_a_mirror_that_ignores_ranges_sends_a_blob_once_too_often(
    registry: HostileRegistry, mirror: HostileRegistry, settings: ClientSettings
) -> None:
    mirror.blob(DATA)
    mirror.on("blob", hostile.ignored_range)
    async with RegistryClient(settings) as client:
        for _ in range(5):
            await read(client, registry)
        assert len(mirror.seen) == 1
        assert client.statistics.ranges_ignored == 1


async def test_while_a_dead_mirror_is_tried_again_other_reads_go_elsewhere(
    registry: HostileRegistry, mirror: HostileRegistry, settings: ClientSettings
) -> None:
    mirror.blob(DATA)
    mirror.on("blob", hostile.answers(503))
    asked, waiting = asyncio.Event(), asyncio.Event()

    async def slow(
        mirror: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.StreamResponse:
        asked.set()
        await waiting.wait()
        return await mirror.honest(request)

    async with RegistryClient(replace(settings, endpoint_pause=0.05)) as client:
        await read(client, registry)
        mirror.behave()
        mirror.on("blob", slow)
        await asyncio.sleep(0.1)
        trying = asyncio.create_task(read(client, registry))
        await asyncio.wait_for(asked.wait(), 10)
        before = len(mirror.seen)
        for _ in range(5):
            await read(client, registry)
        assert len(mirror.seen) == before
        waiting.set()
        await trying
        registry.seen.clear()
        await read(client, registry)
        assert registry.seen == [], "it is back for everybody"


async def test_bytes_that_turned_out_wrong_are_asked_of_the_registry_itself(
    registry: HostileRegistry, mirror: HostileRegistry, settings: ClientSettings
) -> None:
    mirror.blobs[digest_of(DATA)] = bytes(reversed(DATA))
    async with RegistryClient(settings) as client:
        with pytest.raises(AssertionError):
            await read(client, registry)
        await client.blobs.doubt(registry.reference(), digest_of(DATA))
        await read(client, registry)
        with pytest.raises(NotFoundError):
            await client.blobs.read(registry.reference(), digest_of(b"none"), 0, 1)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address where connections are neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # what fits into the queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_mirror_that_accepts_no_connection_is_waited_for_as_long_as_its_file_says(
    registry: HostileRegistry, settings: ClientSettings, tmp_path: Path, black_hole: str
) -> None:
    (tmp_path / registry.host / "hosts.toml").write_text(
        f'[host."http://{black_hole}"]\ndial_timeout = "50ms"\n'
    )
    patient = replace(settings, timeouts=Timeouts(connect=3600, request=3600))
    async with asyncio.timeout(60), RegistryClient(patient) as client:
        await read(client, registry)
