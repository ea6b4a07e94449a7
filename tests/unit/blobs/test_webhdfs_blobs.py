"""Objects in a real HDFS."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from conformance import *  # noqa: F403  (every test there)
from conformance import DATA

from benchmarks.lab.hdfs import Hdfs
from bootseer.blobs.webhdfs import WebHdfsBlobs, open_webhdfs
from bootseer.digests import digest_of
from bootseer.errors import RemoteError
from bootseer.webhdfs.address import parse_address
from bootseer.webhdfs.calls import Patience
from snapshotter.hot.merge import merge
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hot.record_format import encode
from snapshotter.hotstore.places import open_hot_store
from snapshotter.layers.records import BLOCK
from snapshotter.ports import ImageKey
from snapshotter.registry.client import RegistryClient
from tests.registry_fixture import ALONE, RunningRegistry, free_port, registry

__all__ = ["registry"]


@pytest.fixture
async def store(hdfs: Hdfs, request: pytest.FixtureRequest) -> AsyncIterator[WebHdfsBlobs]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    async with open_webhdfs(parse_address(hdfs.address(f"{name}/not there"), "x")) as store:
        yield store


@contextlib.asynccontextmanager
async def impatient(address: str) -> AsyncIterator[WebHdfsBlobs]:
    patience = Patience(connect=2, stall=1, call=2, attempts=2, pause=0.01)
    async with open_webhdfs(parse_address(address, "x"), patience) as store:
        yield store


async def test_who_may_not_is_told_what_to_do(store: WebHdfsBlobs, hdfs: Hdfs) -> None:
    await store.put("a", b"data")
    # HDFS makes directories with the mode of those above, which is everybody's here.
    await store._calls.small("PUT", "", "SETPERMISSION", 1000, permission="755")
    root = store._calls.absolute("").lstrip("/")
    async with open_webhdfs(parse_address(hdfs.address(root, "other"), "x")) as other:
        with pytest.raises(RemoteError, match="AccessControlException") as caught:
            await other.put("b", b"data")
        assert await other.read("a", 0, 4) == b"data"
    assert caught.value.hint is not None
    assert not caught.value.temporary
    assert [one.name for one in await store.list("", 10)] == ["a"]


async def test_a_name_node_that_is_not_there_is_an_error_that_may_pass() -> None:
    async with impatient(f"webhdfs://127.0.0.1:{free_port()}/a") as store:
        with pytest.raises(RemoteError) as caught:
            await store.size("a")
    assert caught.value.temporary


async def test_something_else_than_a_name_node_is_found_out(registry: RunningRegistry) -> None:
    async with impatient(f"webhdfs://{registry.host}/a") as store:
        with pytest.raises(RemoteError, match="404") as caught:
            await store.size("a")
    assert "NameNode" in str(caught.value.hint)


async def test_a_data_node_that_hangs_is_given_up_and_used_again_later(
    store: WebHdfsBlobs, hdfs: Hdfs
) -> None:
    await store.put("a", b"data")
    async with impatient(hdfs.address(store._calls.absolute("").lstrip("/"))) as impatient_store:
        hdfs.data_node.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(RemoteError) as caught:
                await impatient_store.read("a", 0, 4)
            with pytest.raises(RemoteError):
                await impatient_store.put("b", b"data")
        finally:
            hdfs.data_node.send_signal(signal.SIGCONT)
    assert caught.value.temporary
    assert await store.read("a", 0, 4) == b"data"
    assert await store.size("b") is None
    assert await store.put("b", b"data")


async def test_more_names_than_a_name_node_lists_at_once_are_all_listed(
    store: WebHdfsBlobs,
) -> None:
    names = [f"d/{number:02}" for number in range(12)]
    await asyncio.gather(*(store.put(name, b"") for name in names))
    assert [one.name for one in await store.list("d", 100)] == names


async def test_what_a_killed_writer_left_is_removed_after_a_day(store: WebHdfsBlobs) -> None:
    await store.put("a/b", b"data")
    for age, modified in (("old", 1_000_000_000_000), ("young", int(time.time() * 1000))):
        await store._write(f"a/.x.{age}.new", b"half")
        times = {"modificationtime": str(modified), "accesstime": "-1"}
        await store._calls.small("PUT", f"a/.x.{age}.new", "SETTIMES", 1000, **times)
    assert [one.name for one in await store.list("a", 10)] == ["a/b"]
    await store.put("a/c", b"data")
    assert await store._status("a/.x.old.new") is None
    assert await store._status("a/.x.young.new") is not None


async def test_records_and_packs_are_kept_there(hdfs: Hdfs, tmp_path: Path) -> None:
    image = ImageKey("r.example/a:1", digest_of(b"manifest"))
    layer = HotLayer(digest_of(b"layer"), digest_of(b"index"), 9 * BLOCK)
    made = Record(
        manifest_digest=image.manifest_digest,
        workload="train",
        created=1_700_000_000,
        window_ms=1000,
        length_ms=1000,
        ended=Ended.WINDOW,
        kernel="6.18",
        architecture="x86_64",
        layers=(layer,),
        ranges=make_ranges([(0, 3, 2)]),
        time_ms=np.zeros(1, dtype=np.int64),
    )
    pack = tmp_path / "pack"
    pack.write_bytes(DATA)
    async with (
        RegistryClient(ALONE) as client,
        open_hot_store(hdfs.address("hot"), client) as hot,
    ):
        await hot.publish_record(image, made)
        await hot.publish_pack(image, merge([made]), pack)
        assert [encode(one) for one in await hot.records(image, "train")] == [encode(made)]
        found = await hot.pack(image, "train")
        assert found is not None
        assert await (await hot.blobs(image)).read(found.digest, 5, 10) == DATA[5:15]
        assert [one.kind for one in await hot.stored(image)] == ["pack", "records"]
