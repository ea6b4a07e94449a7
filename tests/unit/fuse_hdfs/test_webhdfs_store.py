"""Files in a real HDFS."""

import asyncio
import errno
import os
import signal
import urllib.request
from collections.abc import AsyncIterator

import pytest
from store_conformance import *  # noqa: F403  (every test there)
from store_conformance import DATA, number_of, pieces, put

from benchmarks.lab.hdfs import Hdfs
from bootseer.errors import NotFoundError, RemoteError
from bootseer.webhdfs.address import parse_address
from bootseer.webhdfs.calls import Patience
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.webhdfs import WebHdfsStore, open_webhdfs
from tests.registry_fixture import free_port


@pytest.fixture
async def store(hdfs: Hdfs, request: pytest.FixtureRequest) -> AsyncIterator[WebHdfsStore]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    async with open_webhdfs(parse_address(hdfs.address(""), "x"), Patience()) as root:
        await root.make_directory(name, 0o777)
    async with open_webhdfs(parse_address(hdfs.address(name), "x"), Patience()) as store:
        yield store


async def test_who_may_not_is_refused_with_eacces(store: WebHdfsStore, hdfs: Hdfs) -> None:
    await put(store, "file")
    await store.set_mode("", 0o755)
    root = store._calls.absolute("").lstrip("/")
    async with open_store(hdfs.address(root, "other")) as other:
        assert await number_of(put(other, "new")) == errno.EACCES
        assert await number_of(other.remove("file")) == errno.EACCES
        assert await number_of(other.set_mode("file", 0o777)) == errno.EACCES
        assert await other.read("file", 0, 10) == b"data"
        await other.give("file", os.getuid() + 1, 0)


async def test_a_quota_that_is_used_up_is_edquot(store: WebHdfsStore, hdfs: Hdfs) -> None:
    url = f"http://{hdfs.host}/webhdfs/v1{store._calls.absolute('')}"
    query = "op=SETQUOTA&namespacequota=2&user.name=root"
    urllib.request.urlopen(urllib.request.Request(f"{url}?{query}", method="PUT")).close()
    await put(store, "first")
    assert await number_of(put(store, "second")) == errno.EDQUOT
    assert await number_of(store.make_directory("third", 0o755)) == errno.EDQUOT


@pytest.mark.parametrize(("name", "number"), [("a:b", errno.EINVAL), ("a\udcff", errno.EILSEQ)])
async def test_names_that_hdfs_has_not_are_refused(
    store: WebHdfsStore, name: str, number: int
) -> None:
    assert await number_of(store.stat(name)) == number
    assert await number_of(put(store, name)) == number
    assert await number_of(store.rename("file", name, replace=True)) == number


async def test_files_are_joined_without_moving_a_byte(store: WebHdfsStore) -> None:
    parts = [DATA[:1_000_000], DATA[1_000_000:1_000_001], DATA[1_000_001:]]
    for number, part in enumerate(parts):
        await put(store, f"d/{number}", part)
    await store.concat("d/0", ["d/1", "d/2"])
    assert [status.name for status in await store.list("d")] == ["0"]
    assert await store.read("d/0", 0, len(DATA)) == DATA
    assert [block.offset for block in await store.blocks("d/0")] == [0, 1_000_000, 1_000_001]
    assert await number_of(store.concat("d/0", ["d/none"])) == errno.ENOENT


async def test_a_list_of_many_names_is_whole(store: WebHdfsStore) -> None:
    names = [f"{number:02}" for number in range(17)]
    await asyncio.gather(*(put(store, name, b"") for name in names))
    assert sorted(status.name for status in await store.list("")) == names


async def test_an_address_is_tried_when_it_is_opened(hdfs: Hdfs) -> None:
    with pytest.raises(NotFoundError):
        async with open_store(hdfs.address("none")):
            pass
    with pytest.raises(RemoteError):
        async with open_store(f"webhdfs://127.0.0.1:{free_port()}/a"):
            pass


async def test_a_data_node_that_hangs_is_given_up_in_time(store: WebHdfsStore, hdfs: Hdfs) -> None:
    await put(store, "file", DATA)
    (place,) = await store.places()
    root = store._calls.absolute("").lstrip("/")
    hdfs.data_node.send_signal(signal.SIGSTOP)
    try:
        async with open_store(hdfs.address(root), 3) as impatient:
            found = await asyncio.gather(
                number_of(impatient.read("file", 0, len(DATA))),
                number_of(impatient.write("new", pieces(DATA), place=place)),
            )
            assert (await impatient.stat("file")).size == len(DATA)
    finally:
        hdfs.data_node.send_signal(signal.SIGCONT)
    assert set(found) <= {errno.ETIMEDOUT, errno.EIO}
    assert await store.read("file", 0, len(DATA)) == DATA
