"""A layer read through registries that lie in every way: each read is right, or an I/O error.

The layer, its index, the client, the cache and the checks are the real ones.
"""

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootseer.atomic import write_atomic
from bootseer.digests import digest_of
from bootseer.errors import BootseerError
from snapshotter.blocks.names import name_of
from snapshotter.chunks.fetching import FetchPolicy
from snapshotter.chunks.flights import Services
from snapshotter.chunks.turns import Turns
from snapshotter.chunks.windows import new_cache
from snapshotter.layers.format import encode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.linking.following import following
from snapshotter.registry.breaker import BreakerPolicy
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.hosts import HostsDirectory
from snapshotter.registry.repository import RepositoryBlobs
from snapshotter.registry.retry import RetryPolicy
from snapshotter.registry.settings import ClientSettings, Timeouts
from snapshotter.serving.files import LayerFiles, OpenLayer
from snapshotter.serving.layout import INDEX, RECORD, Layout, record_of
from snapshotter.serving.materialise import materialise
from tests import hostile_registry as hostile
from tests.hostile_registry import QUICK, Handler, HostileRegistry, hostile_registry
from tests.image_maker import layer_of

# A connection that the simulator broke off may outlive the event loop, which ends with the example.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

PATIENT = replace(
    QUICK,
    retries=RetryPolicy(attempts=3, first_pause=0.001, longest_pause=0.002, longest_retry_after=1),
    breaker=BreakerPolicy(failures=5, pause=0.01),
    mirror_memory=0.05,
    endpoint_pause=0.05,
)
IMPATIENT = replace(PATIENT, timeouts=Timeouts(connect=5, stall=0.3, request=2))
"""On a busy machine an honest registry is too slow for it, too."""

FAULTS: dict[str, Handler] = {
    "another range": hostile.wrong_content_range,
    "no Content-Range": hostile.no_content_range,
    "half the range": hostile.less_than_asked,
    "200 to a Range": hostile.ignored_range,
    "other bytes": hostile.other_bytes,
    "shifted bytes": hostile.shifted_bytes,
    "another blob": hostile.another_blob,
    "several parts": hostile.several_parts,
    "Content-Encoding": hostile.compressed,
    "reset at once": hostile.reset,
    "reset after a byte": hostile.broken_after(1),
    "reset after 5000": hostile.broken_after(5000),
    "too little, chunked": hostile.chunked(lambda body: body[:-1]),
    "too much, chunked": hostile.chunked(lambda body: body + b"x"),
    "all without a length": hostile.chunked_whole,
    "stalls": hostile.stall,
    "silence": hostile.silent,
    "huge headers": hostile.huge_headers,
    "no HTTP": hostile.no_http,
    "circles": hostile.redirects_to_itself,
    "redirect to nowhere": hostile.redirects("http://127.0.0.1:1/blob"),
    "redirect to no address": hostile.redirects("file:///etc/passwd"),
    "no challenge": hostile.answers(401),
    "a bad challenge": hostile.answers(401, WWW_Authenticate='Bearer realm="'),
    **{str(status): hostile.answers(status) for status in (204, 400, 403, 404, 416, 500, 503)},
    "429": hostile.answers(429, Retry_After="0"),
}
SILENT = {"stalls", "silence"}
KINDS = st.sampled_from(["honest", "honest", *FAULTS])
LOUD_KINDS = st.sampled_from(["honest", "honest", *(kind for kind in FAULTS if kind not in SILENT)])


@dataclass
class Made:
    """A layer, and what its data area holds."""

    blob: bytes
    windows: bytes
    index: bytes
    data: bytes
    digest: str


@pytest.fixture(scope="module")
def made() -> Made:
    chance = random.Random(11)
    words = [chance.randbytes(chance.randrange(3, 9)) for _ in range(2000)]
    files = {f"f{i}": b"".join(chance.choices(words, k=20_000)) for i in range(8)}
    layer = layer_of(files)
    area = bytearray()

    def keep(offset: int, piece: bytes | memoryview) -> None:
        area.extend(bytes(offset + len(piece) - len(area)))
        area[offset : offset + len(piece)] = piece

    indexer = LayerIndexer(spacing=64 << 10, sink=keep)
    indexer.feed(layer.blob)
    done = indexer.finish()
    area.extend(bytes(done.index.data_size - len(area)))
    assert len(done.index.chunks.codec) > 6
    return Made(layer.blob, done.windows_blob, encode(done.index), bytes(area), layer.digest)


@dataclass
class World:
    """The layer, opened, and the registries that it is read from."""

    registries: list[HostileRegistry]
    layer: OpenLayer


@contextlib.asynccontextmanager
async def world(
    made: Made, directory: Path, registries: int, client_settings: ClientSettings = PATIENT
) -> AsyncIterator[World]:
    """Open the layer with an empty cache: from one registry, or from one behind mirrors."""
    async with AsyncExitStack() as stack:
        several = [await stack.enter_async_context(hostile_registry()) for _ in range(registries)]
        for one in several:
            one.blob(made.blob)
            one.blob(made.windows)
        origin = several[-1]
        certs = directory / "certs.d" / origin.host
        certs.mkdir(parents=True)
        mirrors = "".join(f'[host."http://{one.host}"]\n' for one in several[:-1])
        (certs / "hosts.toml").write_text(f'server = "http://{origin.host}"\n{mirrors}')
        hosts = HostsDirectory(directories=(directory / "certs.d",))
        client = await stack.enter_async_context(
            RegistryClient(replace(client_settings, hosts=hosts))
        )
        layout = Layout(directory)
        name = name_of(made.digest, digest_of(made.index))
        layout.layer(name).mkdir(parents=True)
        (layout.layer(name) / INDEX).write_bytes(made.index)
        found = await asyncio.to_thread(materialise, layout.layer(name) / INDEX)
        record = record_of(found, str(origin.reference()), digest_of(made.index))
        write_atomic(layout.layer(name) / RECORD, record.encode())

        def blobs(references: Sequence[str]) -> RepositoryBlobs:
            del references
            return RepositoryBlobs(client, origin.reference())

        executor = stack.enter_context(ThreadPoolExecutor(2))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        spawn = group.create_task
        services = Services(Turns(executor), spawn, FetchPolicy(demand_run=100_000))
        files = LayerFiles(layout, blobs, services, following(spawn, 0), new_cache())
        opened = await files.open(name)
        try:
            yield World(several, opened)
        finally:
            await files.close(name)


def schedule(registry: HostileRegistry, kinds: Sequence[str]) -> None:
    """Answer the next requests for blobs as the kinds say, one each, honestly after that."""
    for kind in kinds:
        registry.on("blob", FAULTS.get(kind, _honest), times=1)


async def _honest(registry: HostileRegistry, request: Any) -> Any:
    return await registry.honest(request)


async def read_all(
    made: Made, opened: OpenLayer, reads: Sequence[tuple[float, int]]
) -> list[BootseerError]:
    """Read places of the data area, three at a time; return what failed."""
    failed = []

    async def one(place: float, length: int) -> None:
        offset = int(place * len(made.data))
        wanted = made.data[offset : offset + length]
        try:
            got = await opened.read(offset, len(wanted))
        except BootseerError as error:
            failed.append(error)
        else:
            assert bytes(got) == wanted

    for start in range(0, len(reads), 3):
        await asyncio.gather(*(one(*read) for read in reads[start : start + 3]))
    return failed


READS = st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 200_000)), min_size=1, max_size=12)
MANY = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(kinds=st.lists(KINDS, max_size=24), reads=READS)
def test_whatever_a_registry_sends_a_read_is_right_or_an_error(
    made: Made, kinds: list[str], reads: list[tuple[float, int]]
) -> None:
    async def run(directory: Path) -> None:
        async with world(made, directory, 1, IMPATIENT) as one:
            schedule(one.registries[0], kinds)
            await read_all(made, one.layer, reads)

    with _directory() as directory:
        asyncio.run(run(directory))


@MANY
@given(
    lies=st.lists(st.lists(LOUD_KINDS, max_size=12), min_size=1, max_size=2),
    reads=READS,
)
def test_with_an_honest_registry_behind_lying_mirrors_every_read_is_right(
    made: Made, lies: list[list[str]], reads: list[tuple[float, int]]
) -> None:
    async def run(directory: Path) -> None:
        async with world(made, directory, len(lies) + 1) as one:
            for mirror, kinds in zip(one.registries, lies, strict=False):
                schedule(mirror, kinds)
            assert await read_all(made, one.layer, reads) == []

    with _directory() as directory:
        asyncio.run(run(directory))


@pytest.mark.parametrize("kind", FAULTS)
def test_a_registry_that_only_lies_is_an_error_until_it_stops(made: Made, kind: str) -> None:
    async def run(directory: Path) -> None:
        chosen = IMPATIENT if kind in SILENT else PATIENT
        async with world(made, directory, 1, chosen) as one:
            one.registries[0].on("blob", FAULTS[kind])
            failed = await read_all(made, one.layer, [(0.0, 5000)])
            assert len(failed) == (kind not in ("200 to a Range", "all without a length"))
            one.registries[0].behave()
            one.layer.reader._flights._failures.clear()  # not waiting for a failure to be forgotten
            while failed := await read_all(made, one.layer, [(0.0, len(made.data))]):
                assert kind in SILENT, failed
                one.layer.reader._flights._failures.clear()

    with _directory() as directory:
        asyncio.run(run(directory))


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
