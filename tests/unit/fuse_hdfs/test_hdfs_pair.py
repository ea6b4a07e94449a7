"""A store in an HDFS with two NameNodes: whichever is active is found, and found again."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from store_conformance import DATA, number_of, put

from benchmarks.lab.hdfs_pair import SERVICE, HdfsPair, running_pair
from bootseer.errors import RemoteError
from bootseer.hadoop.client import HadoopClient, read_client
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.store import Store


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsPair]:
    with running_pair(tmp_path_factory.mktemp("pair") / "cluster") as running:
        yield running


@pytest.fixture
def client(pair: HdfsPair) -> HadoopClient:
    return read_client({"HADOOP_CONF_DIR": str(pair.configuration)})


@pytest.fixture
async def store(client: HadoopClient) -> AsyncIterator[Store]:
    async with open_store(f"hdfs://{SERVICE}/", client=client) as store:
        yield store
        await store.remove_tree("d")


async def test_the_configuration_leads_to_the_active_name_node(
    store: Store, pair: HdfsPair, client: HadoopClient
) -> None:
    (place,) = await store.places()
    await store.write("d/file", pieces_of(DATA), place=place)
    assert await store.read("d/file", 0, len(DATA)) == DATA
    async with open_store("hdfs:///d", client=client) as other:
        assert [status.name for status in await other.list("")] == ["file"]
    environment = os.environ | {"HADOOP_CONF_DIR": str(pair.configuration)}
    argv = [sys.executable, "-m", "bootseer", "hdfs", "stat", "hdfs:///d//file", "--json"]
    done = subprocess.run(argv, env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout)["size"] == len(DATA)


async def test_a_store_goes_on_with_whichever_name_node_is_active_next(
    store: Store, pair: HdfsPair
) -> None:
    await put(store, "d/file", DATA)
    for old, new in ((0, 1), (1, 0)):
        await asyncio.to_thread(pair.stand_by, old)
        waiting = asyncio.create_task(put(store, f"d/{old}"))
        await asyncio.to_thread(pair.activate, new)
        await waiting
        assert await store.read(f"d/{old}", 0, 10) == b"data"
        assert await store.read("d/file", 0, len(DATA)) == DATA


async def test_a_store_goes_on_when_its_name_node_is_killed(store: Store, pair: HdfsPair) -> None:
    await put(store, "d/file", DATA)
    pair.name_nodes[0].kill()
    try:
        waiting = asyncio.create_task(store.stat("d/file"))
        await asyncio.to_thread(pair.activate, 1)
        assert (await waiting).size == len(DATA)
        await put(store, "d/other")
        assert len(await store.list("d")) == 2
    finally:
        pair.name_nodes[0].start()
        await asyncio.to_thread(pair.wait_until_listening, 0)
        await asyncio.to_thread(pair.stand_by, 1)
        await asyncio.to_thread(pair.activate, 0)
    assert await store.read("d/file", 0, len(DATA)) == DATA


async def test_without_an_active_name_node_there_is_an_error_in_the_end(
    store: Store, pair: HdfsPair, client: HadoopClient
) -> None:
    await put(store, "d/file")
    await asyncio.to_thread(pair.stand_by, 0)
    try:
        with pytest.raises(RemoteError, match="standby"):
            async with open_store(f"hdfs://{SERVICE}/d", 3, client):
                pass
    finally:
        await asyncio.to_thread(pair.activate, 0)
    assert await number_of(store.stat("d/none"))


async def test_hadoops_own_protocol_finds_the_active_name_node_too(
    pair: HdfsPair, client: HadoopClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", client.user)
    async with open_store(f"hdfs://{SERVICE}/", client=client, transport="native") as store:
        await put(store, "native/file", DATA)
        for old, new in ((0, 1), (1, 0)):
            await asyncio.to_thread(pair.stand_by, old)
            waiting = asyncio.create_task(store.list("native"))
            await asyncio.to_thread(pair.activate, new)
            assert len(await waiting) == 1
            assert await store.read("native/file", 0, len(DATA)) == DATA
        await store.remove_tree("native")


@pytest.mark.containers
def test_a_mount_loses_nothing_when_its_name_node_is_killed_in_the_middle(
    pair: HdfsPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(pair.configuration))
    point, config = tmp_path / "mnt", tmp_path / "bootseer.yaml"
    point.mkdir()
    settings = f"{{spool: {tmp_path}/spool, small: 0, stripe_unit: 64KiB, stripe_count: 2}}"
    config.write_text(f"run_dir: {tmp_path}/run\nhdfs: {settings}\n")
    more = ["--config", str(config)]
    command = [sys.executable, "-m", "bootseer", "hdfs"]
    mount = ["mount", "--daemon", "--log-file", str(tmp_path / "log"), "hdfs:///", str(point)]
    subprocess.run([*command, *mount, *more], check=True)
    failed: list[OSError] = []
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            try:
                (point / f"{number}").write_bytes(DATA)
                assert (point / f"{number}").read_bytes() == DATA
            except OSError as error:
                failed.append(error)
            number += 1

    writer = threading.Thread(target=write)
    try:
        writer.start()
        pair.name_nodes[0].kill()
        pair.activate(1)
        (point / "after").write_bytes(DATA)
        over.set()
        writer.join()
        assert failed == []
        names = sorted(path.name for path in point.iterdir())
        assert {"0", "after"} <= set(names)
        assert all((point / name).read_bytes() == DATA for name in names)
        for name in names:
            (point / name).unlink()
    finally:
        over.set()
        writer.join()
        subprocess.run([*command, "umount", str(point), *more], check=True)
        pair.name_nodes[0].start()
        pair.wait_until_listening(0)
        pair.stand_by(1)
        pair.activate(0)


async def pieces_of(data: bytes) -> AsyncIterator[bytes]:
    yield data
