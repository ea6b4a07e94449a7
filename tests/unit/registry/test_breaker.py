"""A host that fails is asked little, by all together, until it answers."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import RemoteError
from snapshotter.registry.breaker import Breaker, BreakerPolicy, HeldBackError
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.hosts import HostsDirectory
from snapshotter.registry.retry import RetryPolicy
from tests import hostile_registry as hostile
from tests.hostile_fixtures import registry
from tests.hostile_registry import QUICK, HostileRegistry, hostile_registry

__all__ = ["registry"]

POLICY = BreakerPolicy(failures=3, pause=1.0)
DATA = b"data" * 100


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failing_host_is_asked_once_in_a_while_until_it_answers() -> None:
    clock = Clock()
    breaker = Breaker(POLICY, clock)
    assert [breaker.failed("a") for _ in range(4)] == [False, False, True, False]
    with pytest.raises(HeldBackError):
        breaker.admit("a")
    breaker.admit("b")
    clock.now += 1.0
    breaker.admit("a")
    with pytest.raises(HeldBackError):
        breaker.admit("a")
    breaker.answered("a")
    for _ in range(10):
        breaker.admit("a")


def test_a_host_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    clock = Clock()
    breaker = Breaker(POLICY, clock)
    breaker.hold("a", 5.0)
    breaker.hold("a", 2.0)
    breaker.answered("a")
    with pytest.raises(HeldBackError) as caught:
        breaker.admit("a")
    assert caught.value.retry_after == pytest.approx(5.0)
    clock.now += 5.0
    breaker.admit("a")


@given(st.lists(st.sampled_from(["failed", "answered", "wait", "admit"]), max_size=60))
def test_a_failing_host_is_never_asked_twice_within_a_pause_and_always_after_one(
    steps: list[str],
) -> None:
    clock = Clock()
    breaker = Breaker(POLICY, clock)
    failures, last = 0, 0.0
    for step in steps:
        clock.now += 0.4
        if step == "failed":
            breaker.failed("a")
            failures, last = failures + 1, clock.now
        elif step == "answered":
            breaker.answered("a")
            failures = 0
        elif step == "admit":
            try:
                breaker.admit("a")
            except HeldBackError:
                assert failures >= POLICY.failures
                assert clock.now - last < POLICY.pause
            else:
                assert failures < POLICY.failures or clock.now - last >= POLICY.pause
                last = clock.now


async def test_reads_of_a_registry_that_is_down_do_not_keep_it_from_getting_up(
    registry: HostileRegistry,
) -> None:
    digest = registry.blob(DATA)
    registry.on("blob", hostile.reset)
    settings = replace(QUICK, retries=RetryPolicy(attempts=6, first_pause=0.001), breaker=POLICY)
    async with RegistryClient(settings) as client:

        async def read() -> bytes:
            return await client.blobs.read(registry.reference(), digest, 0, 4)

        await asyncio.gather(*(read() for _ in range(3)), return_exceptions=True)
        before = len(registry.asked("blob"))
        failed = await asyncio.gather(*(read() for _ in range(200)), return_exceptions=True)
        assert all(isinstance(error, RemoteError) and error.temporary for error in failed)
        assert len(registry.asked("blob")) - before < 20, "200 reads, six tries each"
        registry.behave()
        while isinstance((await asyncio.gather(read(), return_exceptions=True))[0], RemoteError):
            await asyncio.sleep(0.01)
        assert await read() == DATA[:4]


async def test_all_reads_wait_as_long_as_one_was_told_to(registry: HostileRegistry) -> None:
    digest = registry.blob(DATA)
    registry.on("blob", hostile.answers(429, Retry_After="1"), times=1)
    settings = replace(QUICK, retries=RetryPolicy(attempts=5))
    async with RegistryClient(settings) as client:

        async def read(offset: int) -> bytes:
            return await client.blobs.read(registry.reference(), digest, offset, 4)

        first = asyncio.create_task(read(0))
        while not registry.seen:
            await asyncio.sleep(0.001)
        while client.statistics.retries == 0:
            await asyncio.sleep(0.001)
        others = await asyncio.gather(*(read(offset) for offset in range(20)))
        assert others == [DATA[offset : offset + 4] for offset in range(20)]
        assert await first == DATA[:4]
        assert len(registry.asked("blob")) == 22


async def test_a_mirror_that_asks_for_patience_is_not_waited_for(
    registry: HostileRegistry, tmp_path: Path
) -> None:
    digest = registry.blob(DATA)
    async with hostile_registry() as mirror:
        mirror.blob(DATA)
        mirror.on("blob", hostile.answers(429, Retry_After="25"))
        (tmp_path / registry.host).mkdir()
        hosts = f'server = "http://{registry.host}"\n[host."http://{mirror.host}"]\n'
        (tmp_path / registry.host / "hosts.toml").write_text(hosts)
        settings = replace(QUICK, hosts=HostsDirectory(directories=(tmp_path,)), endpoint_pause=0.0)
        async with RegistryClient(settings) as client, asyncio.timeout(20):
            for offset in range(20):
                found = await client.blobs.read(registry.reference(), digest, offset, 4)
                assert found == DATA[offset : offset + 4]
        assert len(mirror.asked("blob")) == 1, "nobody asks it until it wants to be asked"
