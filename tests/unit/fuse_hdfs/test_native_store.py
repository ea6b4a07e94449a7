"""Files in a real HDFS over Hadoop's own protocol, and when that is taken."""

import asyncio
import errno
import gc
import signal
import threading
import urllib.request
from collections.abc import AsyncIterator

import pytest
from store_conformance import *  # noqa: F403  (every test there)
from store_conformance import DATA, number_of, pieces, put

from benchmarks.lab.hadoop_servers import free_port
from benchmarks.lab.hdfs import Hdfs as RunningHdfs
from bootseer.errors import NotFoundError, RemoteError, UsageError
from bootseer.hadoop.client import HadoopClient, read_client
from bootseer.hadoop.site import Site
from fuse_hdfs.stores.native import NativeStore
from fuse_hdfs.stores.native_errors import AwayError, translated
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.threads import Threads
from fuse_hdfs.stores.webhdfs import WebHdfsStore

USER = "root"


@pytest.fixture
def client(hdfs: RunningHdfs, monkeypatch: pytest.MonkeyPatch) -> HadoopClient:
    monkeypatch.setenv("HADOOP_USER_NAME", USER)
    return read_client({"HADOOP_CONF_DIR": str(hdfs.configuration)}, user=USER)


@pytest.fixture
async def store(client: HadoopClient, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    name = "native-" + "".join(c if c.isalnum() else "-" for c in request.node.name)
    async with open_store("hdfs:///", client=client, transport="native") as root:
        await root.make_directory(name, 0o777)
    async with open_store(f"hdfs:///{name}", client=client, transport="native") as store:
        assert isinstance(store, NativeStore)
        yield store


async def test_extended_attributes_come_back_and_move_with_their_file(store: Store) -> None:
    """Not so here: the library has none."""
    await put(store, "file")
    assert await number_of(store.xattrs("file")) == errno.ENOTSUP
    assert await number_of(store.set_xattr("file", "user.a", b"")) == errno.ENOTSUP


async def test_what_one_transport_wrote_the_other_reads(
    store: NativeStore, client: HadoopClient
) -> None:
    await put(store, "native", DATA)
    async with open_store(f"hdfs://{store._root}", client=client) as other:
        assert isinstance(other, WebHdfsStore)
        assert await other.read("native", 0, len(DATA)) == DATA
        await put(other, "web", DATA[::-1])
        assert (await other.stat("native")).mode == (await store.stat("native")).mode
    assert await store.read("web", 0, len(DATA)) == DATA[::-1]


async def test_a_quota_that_is_used_up_is_edquot_and_is_the_room_there_is(
    store: NativeStore, hdfs: RunningHdfs
) -> None:
    url = f"http://{hdfs.host}/webhdfs/v1{store._root}"
    query = f"op=SETQUOTA&namespacequota=2&storagespacequota={1 << 30}&user.name=root"
    urllib.request.urlopen(urllib.request.Request(f"{url}?{query}", method="PUT")).close()
    assert (await store.space()).total == 1 << 30
    await put(store, "first")
    assert await number_of(put(store, "second")) == errno.EDQUOT


@pytest.mark.parametrize(("name", "number"), [("a:b", errno.EINVAL), ("a\udcff", errno.EILSEQ)])
async def test_names_that_hdfs_has_not_are_refused(store: Store, name: str, number: int) -> None:
    assert await number_of(store.stat(name)) == number
    assert await number_of(put(store, name)) == number


async def test_a_data_node_that_hangs_is_given_up_in_time(
    store: NativeStore, client: HadoopClient, hdfs: RunningHdfs
) -> None:
    await put(store, "file", DATA)
    hdfs.data_node.send_signal(signal.SIGSTOP)
    try:
        async with open_store(f"hdfs://{store._root}", 3, client, "native") as impatient:
            found = await asyncio.gather(
                number_of(impatient.read("file", 0, len(DATA))),
                number_of(impatient.write("new", pieces(DATA))),
            )
            assert (await impatient.stat("file")).size == len(DATA)
    finally:
        hdfs.data_node.send_signal(signal.SIGCONT)
    assert set(found) <= {errno.ETIMEDOUT, errno.EIO}
    assert await store.read("file", 0, len(DATA)) == DATA


async def test_a_name_node_that_hangs_or_is_away_is_an_error_in_time(
    store: NativeStore, client: HadoopClient, hdfs: RunningHdfs
) -> None:
    async with open_store(f"hdfs://{store._root}", 2, client, "native") as impatient:
        hdfs.name_node.pause()
        try:
            assert await number_of(impatient.stat("")) == errno.ETIMEDOUT
        finally:
            hdfs.name_node.process.send_signal(signal.SIGCONT)
    with pytest.raises(RemoteError):
        async with open_store(f"hdfs://127.0.0.1:{free_port()}/", 2, client, "native"):
            pass
    with pytest.raises(NotFoundError):
        async with open_store("hdfs:///none", 10, client, "native"):
            pass


async def test_where_webhdfs_is_closed_the_native_protocol_is_taken(
    client: HadoopClient, hdfs: RunningHdfs
) -> None:
    async with open_store("hdfs:///", client=client) as store:
        assert isinstance(store, WebHdfsStore)
    closed = dict(client.site.properties)
    closed["dfs.namenode.http-address"] = f"127.0.0.1:{free_port()}"
    elsewhere = HadoopClient(client.user, Site(closed))
    async with open_store("hdfs:///", client=elsewhere) as store:
        assert isinstance(store, NativeStore)
        await store.list("")
    with pytest.raises(RemoteError):
        async with open_store("hdfs:///", client=elsewhere, transport="webhdfs"):
            pass
    with pytest.raises(UsageError):
        async with open_store(hdfs.address(""), client=client, transport="native"):
            pass


async def test_where_webhdfs_wants_tls_and_has_none_the_native_protocol_is_taken(
    client: HadoopClient,
) -> None:
    tls = dict(client.site.properties) | {"dfs.http.policy": "HTTPS_ONLY"}
    there = HadoopClient(client.user, Site(tls))
    async with open_store("hdfs:///", client=there) as store:
        assert isinstance(store, NativeStore)
    with pytest.raises(RemoteError):
        async with open_store("hdfs:///", 4, client=there, transport="webhdfs"):
            pass


async def test_where_no_data_node_can_be_reached_by_http_the_native_protocol_is_taken(
    client: HadoopClient, hdfs: RunningHdfs
) -> None:
    hdfs.servers[0].kill()
    try:
        async with open_store("hdfs:///", client=client) as store:
            assert isinstance(store, NativeStore)
            await store.list("")
    finally:
        await asyncio.to_thread(hdfs.start_data_node, 0)


async def test_a_write_that_was_given_up_is_never_finished_later(
    store: NativeStore, client: HadoopClient
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield DATA
        raise OSError(errno.ENODATA, "no more")

    assert await number_of(store.write("file", failing())) == errno.ENODATA
    gc.collect()
    async with open_store(f"hdfs://{store._root}", client=client) as other:
        assert (await other.stat("file")).size < len(DATA)


async def test_one_process_is_one_user(client: HadoopClient) -> None:
    other = HadoopClient("somebody", client.site)
    with pytest.raises(UsageError, match="HADOOP_USER_NAME"):
        async with open_store("hdfs:///", client=other, transport="native"):
            pass


class PanicException(BaseException):
    """As the library's."""


def rpc_error(name: str) -> RuntimeError:
    return RuntimeError(f'RPCError("org.apache.hadoop.x.{name}", "what\\n at a.b(C.java:1)")')


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (FileNotFoundError("gone"), errno.ENOENT),
        (FileExistsError("there"), errno.EEXIST),
        (rpc_error("AccessControlException"), errno.EACCES),
        (rpc_error("DSQuotaExceededException"), errno.EDQUOT),
        (rpc_error("PathIsNotEmptyDirectoryException"), errno.ENOTEMPTY),
        (rpc_error("Unheard"), errno.EIO),
        (RuntimeError("DataTransferError(all failed)"), errno.EIO),
        (OSError(errno.ESTALE, "ours"), errno.ESTALE),
    ],
)
def test_errors_of_the_library_have_the_errno_of_a_system_call(
    error: Exception, number: int
) -> None:
    found = translated(error, "path")
    assert isinstance(found, OSError)
    assert found.errno == number


@pytest.mark.parametrize("error", [OSError("refused"), rpc_error("StandbyException")])
def test_a_name_node_that_is_away_is_no_errno_yet(error: Exception) -> None:
    assert isinstance(translated(error, "path"), AwayError)


async def test_calls_that_hang_do_not_keep_others_from_being_made() -> None:
    threads, go = Threads(2), threading.Event()
    hang = [threads.run(0.01, go.wait) for _ in range(4)]
    found = await asyncio.gather(*map(number_of, hang))
    assert found == [errno.ETIMEDOUT] * 4
    assert await threads.run(60, lambda: 7) == 7
    go.set()


async def test_a_panic_of_the_library_is_an_error_like_others() -> None:
    def panic() -> None:
        raise PanicException("bug")

    with pytest.raises(RuntimeError, match="PanicException: bug"):
        await Threads(1).run(60, panic)
