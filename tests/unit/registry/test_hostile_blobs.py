"""Blobs from a registry that lies: the real client against a simulator of bad servers."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, NotFoundError, RemoteError
from snapshotter.limits import Limits
from snapshotter.ports import Early
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.settings import ClientSettings
from tests import hostile_registry as hostile
from tests.hostile_fixtures import client
from tests.hostile_registry import QUICK, Handler, HostileRegistry, hostile_registry

__all__ = ["client"]

DATA = random.Random(1).randbytes(5_000_000)


@pytest.fixture
async def registry() -> AsyncIterator[HostileRegistry]:
    async with hostile_registry() as registry:
        registry.blob(DATA)
        yield registry


async def read(
    client: RegistryClient, registry: HostileRegistry, offset: int = 1000, length: int = 70_000
) -> bytes:
    return await client.blobs.read(registry.reference(), digest_of(DATA), offset, length)


async def streamed(client: RegistryClient, registry: HostileRegistry, offset: int = 0) -> bytes:
    pieces = client.blobs.stream(registry.reference(), digest_of(DATA), offset)
    received = [piece async for piece in pieces]
    assert all(0 < len(piece) <= 1 << 20 for piece in received)
    return b"".join(received)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (0, len(DATA)), (len(DATA) - 1, 1), (77, 2_500_000)]
)
async def test_a_range_is_returned_exactly(
    client: RegistryClient, registry: HostileRegistry, offset: int, length: int
) -> None:
    assert await read(client, registry, offset, length) == DATA[offset : offset + length]


async def test_the_first_bytes_are_handed_over_while_the_rest_is_on_its_way(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    came: list[bytes] = []
    early = Early(50_000, came.append)
    found = await client.blobs.read(registry.reference(), digest_of(DATA), 1000, 3_000_000, early)
    assert came == [DATA[1000:51_000]]
    assert found == DATA[1000:3_001_000]


async def test_first_bytes_of_an_attempt_that_fails_are_those_of_the_blob_all_the_same(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.broken_after(400_000), 1)
    came: list[bytes] = []
    early = Early(50_000, came.append)
    found = await client.blobs.read(registry.reference(), digest_of(DATA), 1000, 3_000_000, early)
    assert came
    assert set(came) == {DATA[1000:51_000]}
    assert found == DATA[1000:3_001_000]


async def test_nothing_is_asked_for_an_empty_range(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    assert await read(client, registry, 5, 0) == b""
    assert registry.seen == []


@pytest.mark.parametrize(
    "fault",
    [
        hostile.wrong_content_range,
        hostile.no_content_range,
        hostile.less_than_asked,
        hostile.compressed,
        hostile.redirects_to_itself,
        hostile.redirects("file:///etc/passwd"),
        hostile.redirects("http://[bad"),
        hostile.redirects(""),
        hostile.answers(204),
        hostile.answers(403),
        hostile.answers(416),
        hostile.answers(200, X_Large="x" * 100_000),
        hostile.chunked(lambda body: body + b"more"),
    ],
)
async def test_a_lie_is_an_error_and_not_asked_again(
    client: RegistryClient, registry: HostileRegistry, fault: Handler
) -> None:
    registry.on("blob", fault)
    with pytest.raises(RemoteError) as caught:
        await read(client, registry)
    assert digest_of(DATA) in caught.value.message
    assert client.statistics.retries == 0


@pytest.mark.parametrize(
    "fault",
    [
        hostile.broken_after(0),
        hostile.broken_after(1),
        hostile.broken_after(69_999),
        hostile.chunked(lambda body: body[:-1]),
        hostile.chunked(lambda body: b""),
        hostile.answers(500),
        hostile.answers(503, Retry_After="0"),
        hostile.answers(429, Retry_After="0"),
        hostile.answers(429, Retry_After="nonsense"),
        hostile.answers(408),
    ],
)
async def test_what_may_pass_is_tried_again(
    client: RegistryClient, registry: HostileRegistry, fault: Handler
) -> None:
    registry.on("blob", fault, times=2)
    assert await read(client, registry) == DATA[1000:71_000]
    assert len(registry.asked("blob")) == 3
    assert client.statistics.retries == 2


async def test_a_reset_connection_is_opened_again(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.reset, times=2)
    assert await read(client, registry) == DATA[1000:71_000]


async def test_what_does_not_pass_ends_in_a_temporary_error(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.answers(503))
    with pytest.raises(RemoteError) as caught:
        await read(client, registry)
    assert caught.value.temporary
    assert len(registry.asked("blob")) == QUICK.retries.attempts


async def test_a_registry_that_never_answers_is_given_up(registry: HostileRegistry) -> None:
    settings = replace(QUICK, timeouts=replace(QUICK.timeouts, request=0.2, slowest=1e9))
    registry.on("blob", hostile.silent)
    async with RegistryClient(settings) as client:
        with pytest.raises(RemoteError, match="did not answer in time") as caught:
            await read(client, registry)
    assert caught.value.temporary


async def test_an_answer_that_stalls_is_given_up_and_asked_for_again(
    registry: HostileRegistry,
) -> None:
    settings = replace(QUICK, timeouts=replace(QUICK.timeouts, stall=0.2))
    registry.on("blob", hostile.stall, times=1)
    async with RegistryClient(settings) as client:
        assert await read(client, registry) == DATA[1000:71_000]
        assert client.statistics.retries >= 1


async def test_a_server_that_asks_for_more_patience_than_we_have_is_given_up_at_once(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.answers(429, Retry_After="86400"))
    with pytest.raises(RemoteError):
        await read(client, registry)
    assert len(registry.asked("blob")) == 1


async def test_other_bytes_are_returned_by_read_which_verifies_nothing_but_refused_by_get(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.other_bytes, times=2)
    assert await read(client, registry) != DATA[1000:71_000]
    with pytest.raises(CorruptError):
        await client.blobs.get(registry.reference(), digest_of(DATA), len(DATA))


async def test_a_server_that_ignores_ranges_is_read_up_to_what_is_wanted(
    client: RegistryClient, registry: HostileRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.on("blob", hostile.ignored_range)
    for _ in range(2):
        assert await read(client, registry) == DATA[1000:71_000]
    assert client.statistics.ranges_ignored == 2
    assert client.statistics.discarded == 2000
    notes = [r for r in caplog.records if r.getMessage() == "registry.range_ignored"]
    assert len(notes) == 1


async def test_a_server_that_ignores_ranges_is_refused_where_too_much_would_be_thrown_away(
    registry: HostileRegistry,
) -> None:
    registry.on("blob", hostile.ignored_range)
    async with RegistryClient(replace(QUICK, limits=Limits(range_skip=10_000))) as client:
        assert await read(client, registry, 10_000, 5) == DATA[10_000:10_005]
        with pytest.raises(RemoteError, match="ignores Range"):
            await read(client, registry, 10_001, 5)


async def test_a_missing_blob_is_not_found(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    with pytest.raises(NotFoundError, match="BLOB_UNKNOWN"):
        await client.blobs.read(registry.reference(), digest_of(b"none"), 0, 1)
    assert await client.blobs.size(registry.reference(), digest_of(b"none")) is None
    assert await client.blobs.size(registry.reference(), digest_of(DATA)) == len(DATA)


@pytest.mark.parametrize("digest", ["", "sha256:x", "../../etc", f"sha256:{'A' * 64}"])
async def test_a_malformed_digest_never_reaches_the_network(
    client: RegistryClient, registry: HostileRegistry, digest: str
) -> None:
    with pytest.raises(CorruptError):
        await client.blobs.read(registry.reference(), digest, 0, 1)
    with pytest.raises(CorruptError):
        await anext(client.blobs.stream(registry.reference(), digest))
    assert registry.seen == []


@pytest.mark.parametrize("offset", [0, 1, 4_999_999, 5_000_000])
async def test_a_stream_goes_from_its_offset_to_the_end(
    client: RegistryClient, registry: HostileRegistry, offset: int
) -> None:
    assert await streamed(client, registry, offset) == DATA[offset:]


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 0), (0, 1), (0, len(DATA)), (1000, 3_000_000), (len(DATA) - 1, 1)]
)
async def test_a_stream_of_a_part_is_that_part(
    client: RegistryClient, registry: HostileRegistry, offset: int, length: int
) -> None:
    part = client.blobs.stream(registry.reference(), digest_of(DATA), offset, length)
    assert b"".join([piece async for piece in part]) == DATA[offset : offset + length]
    assert len(registry.asked("blob")) == bool(length)


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 2_999_999])
async def test_a_broken_stream_of_a_part_goes_on_where_it_broke(
    client: RegistryClient, registry: HostileRegistry, size: int
) -> None:
    registry.on("blob", hostile.broken_after(size), times=2)
    part = client.blobs.stream(registry.reference(), digest_of(DATA), 1000, 3_000_000)
    assert b"".join([piece async for piece in part]) == DATA[1000:3_001_000]
    assert client.statistics.received["blob"] == 3_000_000


async def test_a_part_is_not_streamed_from_a_server_that_would_send_too_much_before_it(
    registry: HostileRegistry,
) -> None:
    registry.on("blob", hostile.ignored_range)
    async with RegistryClient(replace(QUICK, limits=Limits(range_skip=10_000))) as client:
        with pytest.raises(RemoteError, match="ignores Range"):
            await anext(client.blobs.stream(registry.reference(), digest_of(DATA), 10_001, 5))


async def test_a_part_is_streamed_while_as_many_whole_blobs_are_as_may_be(
    registry: HostileRegistry,
) -> None:
    async with RegistryClient(replace(QUICK, streams=1)) as client:
        whole = client.blobs.stream(registry.reference(), digest_of(DATA))
        await anext(whole)
        part = client.blobs.stream(registry.reference(), digest_of(DATA), 5, 5)
        assert [piece async for piece in part] == [DATA[5:10]]
        await whole.aclose()


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 2_500_000, 4_999_999])
async def test_a_broken_stream_goes_on_where_it_broke(
    client: RegistryClient, registry: HostileRegistry, size: int
) -> None:
    registry.on("blob", hostile.broken_after(size), times=2)
    assert await streamed(client, registry) == DATA
    asked = registry.asked("blob")
    assert "Range" not in asked[0].headers
    assert client.statistics.received["blob"] == len(DATA)


async def test_a_stream_survives_any_number_of_breaks_that_bring_it_on(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.broken_after(1_100_000), times=50)
    assert await streamed(client, registry) == DATA


async def test_a_stream_that_breaks_without_getting_on_is_given_up(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.broken_after(10))
    with pytest.raises(RemoteError):
        await streamed(client, registry)
    assert len(registry.asked("blob")) == QUICK.retries.attempts


async def test_a_resumed_stream_from_a_server_that_ignores_ranges_skips_what_it_has(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.broken_after(2_000_000), times=1)
    registry.on("blob", hostile.ignored_range)
    assert await streamed(client, registry) == DATA


async def test_a_blob_that_changes_its_size_meanwhile_is_refused(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def shrunk(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.Response:
        return hostile.ranged(request, DATA[:-1])

    registry.on("blob", hostile.broken_after(100), times=1)
    registry.on("blob", shrunk)
    with pytest.raises(RemoteError, match="bytes long"):
        await streamed(client, registry)


@pytest.mark.parametrize("fault", [None, hostile.chunked_whole])
async def test_an_endless_blob_is_refused(registry: HostileRegistry, fault: Handler | None) -> None:
    if fault:
        registry.on("blob", fault)
    async with RegistryClient(replace(QUICK, limits=Limits(layer=1_000_000))) as client:
        with pytest.raises(CorruptError, match="longer than"):
            await streamed(client, registry)


async def test_an_empty_blob_streams_nothing(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    digest = registry.blob(b"")
    assert [p async for p in client.blobs.stream(registry.reference(), digest)] == []


async def test_a_stream_that_nobody_reads_to_the_end_gives_its_connection_back(
    registry: HostileRegistry,
) -> None:
    settings = replace(QUICK, connections=1, streams=1)
    async with RegistryClient(settings) as client:
        for _ in range(3):
            stream = client.blobs.stream(registry.reference(), digest_of(DATA))
            await anext(stream)
            await stream.aclose()
        assert await streamed(client, registry) == DATA


async def test_cancelling_a_read_leaves_the_client_usable(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("blob", hostile.silent, times=1)
    task = asyncio.create_task(read(client, registry))
    while not registry.seen:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await read(client, registry) == DATA[1000:71_000]


async def test_many_reads_share_few_connections(registry: HostileRegistry) -> None:
    busy = peak = 0

    async def slow(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        nonlocal busy, peak
        busy += 1
        peak = max(peak, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        return hostile.ranged(request, DATA)

    registry.on("blob", slow)
    async with RegistryClient(replace(QUICK, connections=4)) as client:
        await asyncio.gather(*(read(client, registry, i, 10) for i in range(40)))
    assert 1 < peak <= 4


async def test_a_redirect_to_a_blob_store_is_followed_without_our_secrets_and_remembered(
    registry: HostileRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hostile_registry() as store, RegistryClient(QUICK) as client:
        store.blob(DATA)
        registry.token_required = True
        digest = digest_of(DATA)

        async def to_store(
            registry: HostileRegistry, request: hostile.web.Request
        ) -> hostile.web.Response:
            if request.headers.get("Authorization") != f"Bearer {hostile.TOKEN}":
                return registry.challenge()
            signed = f"http://{store.host}/blobs/{digest}?X-Signature=abc%2Bdef"
            return hostile.web.Response(status=307, headers={"Location": signed})

        registry.on("blob", to_store)
        for _ in range(5):
            assert await read(client, registry) == DATA[1000:71_000]
        assert len(store.seen) == 5
        assert len(registry.asked("blob")) == 2  # the challenge, the redirect
        assert all("Authorization" not in seen.headers for seen in store.seen)
        assert all(seen.path.endswith("?X-Signature=abc%2Bdef") for seen in store.seen)
        # The signed address has expired: the registry is asked for a new one.
        store.on("blob", hostile.answers(403), times=1)
        assert await read(client, registry) == DATA[1000:71_000]
        assert len(registry.asked("blob")) == 3
        assert "X-Signature" not in caplog.text


@pytest.mark.parametrize("make", [lambda: QUICK, ClientSettings])
async def test_nothing_is_left_open(
    registry: HostileRegistry, make: Callable[[], ClientSettings]
) -> None:
    async with RegistryClient(make()) as client:
        await read(client, registry)
    with pytest.raises(RuntimeError, match="outside"):
        await read(client, registry)
