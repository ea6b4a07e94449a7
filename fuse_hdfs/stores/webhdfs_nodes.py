"""The DataNodes of an HDFS: which there are, which to use for what, and how files get there.

The NameNode is asked where to write once; from then on we choose the DataNode ourselves. A DataNode
that fails is left alone for a while, as the NameNode finds out much later.

Concurrency: the event loop's thread only. Shared are a cache of the node that last served each
path, where a wrong entry costs a detour, the nodes that failed, how files are sent, and the list of
nodes, asked for again every few seconds.
"""

import asyncio
import contextlib
import errno
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from typing import Final

from cachetools import LRUCache, TTLCache
from yarl import URL

from bootseer.errors import RemoteError
from bootseer.webhdfs import answers
from bootseer.webhdfs.calls import PIECE, OutageError, redirected
from fuse_hdfs.stores.traffic import Call, Direction
from fuse_hdfs.stores.webhdfs_asking import Asking
from fuse_hdfs.stores.webhdfs_errors import AnswerError
from fuse_hdfs.stores.webhdfs_sending import SentBody

_NODES: Final = 4 << 20
_NODES_BEAN: Final = "Hadoop:service=NameNode,name=NameNodeInfo"
_NODES_S: Final = 5.0
"""How long a list of DataNodes is believed."""
_SENT: Final = 1 << 20
"""Bytes that are handed to a socket at once: for so many there is a deadline."""
_SILENT_S: Final = 10
"""A DataNode that was silent for longer gets no new files."""
_RANGE: Final = frozenset({"offset", "length"})
_SERVED_BY: Final = 100_000
_FAILED_S: Final = 15.0
"""For so long a DataNode that failed is asked last."""
_SENDING_S: Final = 60.0
"""For so long the NameNode's word of how to send a file is believed."""


class DataNodes:
    """The DataNodes that a store reads from and writes to."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._served_by: LRUCache[str, URL] = LRUCache(_SERVED_BY)
        self._nodes: tuple[answers.DataNode, ...] = ()
        self._nodes_known = float("-inf")
        self._looking = asyncio.Lock()
        self._failed: TTLCache[str, None] = TTLCache(1_000, _FAILED_S)
        self._sending: TTLCache[str, URL] = TTLCache(1, _SENDING_S)

    def serves(self, path: str, number: int | None, url: URL) -> None:
        """Remember who served a file."""
        self._served_by[_known_as(path, number)] = url

    def forget(self, *paths: str) -> None:
        """Forget who served files: they are others now."""
        for path in paths:
            self._served_by.pop(path, None)

    async def known(self) -> tuple[answers.DataNode, ...]:
        """Return those that the NameNode has, as of a few seconds ago."""
        async with self._looking:  # who comes meanwhile is answered by the same look
            if time.monotonic() - self._nodes_known > _NODES_S:
                self._nodes = await self._asking.again(self._data_nodes)
                self._nodes_known = time.monotonic()
        return self._nodes

    async def places(self) -> tuple[str, ...]:
        """Return those that new files may be put on, the one first that was heard of last."""
        nodes = sorted(await self.known(), key=lambda one: one.silent_s)
        heard = [one.address for one in nodes if one.serves and one.silent_s <= _SILENT_S]
        return tuple(one for one in heard if one not in self._failed) or tuple(heard)

    async def reading(
        self, path: str, number: int | None, query: dict[str, str], place: str | None
    ) -> URL:
        """Return where to read: where that was done before, or where the NameNode says.

        Forgotten then: who succeeds there says so.
        """
        url = self._served_by.pop(_known_as(path, number), None)
        if url is None or (place is None and self.is_failed(url)):
            url = await self._reader(path, number, query)
        else:
            url = url.with_query({k: v for k, v in url.query.items() if k not in _RANGE})
            url = url.update_query(query)
        return url if place is None or place in self._failed else _at(url, place)

    async def _reader(self, path: str, number: int | None, query: dict[str, str]) -> URL:
        """Return where the NameNode has it read: at a node that failed only if no other has it."""
        if number is None:
            url = self._asking.calls.url(path, "OPEN", **query)
        else:
            url = self._asking.calls.inode_url(number, "OPEN", **query)
        if without := await self._without_failed():
            with contextlib.suppress(AnswerError):  # no other has it
                return await self._elsewhere(url.update_query(without))
        return await self._elsewhere(url)

    @contextlib.contextmanager
    def noticing(self, url: URL) -> Iterator[Call]:
        """Count a read, and take note of a DataNode that fails inside, or is too late."""
        try:
            with self._asking.traffic.call(url.authority or "", Direction.READ) as call:
                yield call
        except (RemoteError, TimeoutError) as error:
            if not isinstance(error, OutageError):
                self._failed[url.authority] = None
            raise

    async def _without_failed(self) -> dict[str, str]:
        """Return what makes the NameNode name none of the DataNodes that failed.

        It wants them by names that only it knows; nothing where it does not say them.
        """
        if not self._failed:
            return {}
        with contextlib.suppress(OSError):
            await self.known()
        names = [one.transfer for one in self._nodes if one.address in self._failed]
        some = 0 < len(names) < len(self._nodes)
        return {"excludedatanodes": ",".join(names)} if some else {}

    async def _elsewhere(self, url: URL) -> URL:
        """Return which DataNode the NameNode names for reading."""
        async with self._asking.calls.opened("GET", url, redirect=False) as response:
            return redirected(response, url.path)

    async def target(self, path: str, query: dict[str, str], place: str | None) -> URL:
        """Return where to send a new file."""
        sending = self._sending.get("")
        if sending is not None and place is None:
            places = await self.places()
            place = random.choice(places) if places else None  # noqa: S311  (not a secret)
        if sending is None or place is None:
            sending = await self._asking.again(self.place, path, query)
            if "delegation" not in sending.query:  # which is a token for this one file
                self._sending[""] = sending
            if place is None:
                return sending
        whole = self._asking.calls.url(path, "").path
        return _at(sending.with_path(whole).with_query({**sending.query, **query}), place)

    async def place(self, path: str, query: dict[str, str]) -> URL:
        """Ask the NameNode where it would have a file written."""
        url = self._asking.calls.url(path, "CREATE", overwrite="false", **query)
        url = url.update_query(await self._without_failed())
        async with (
            asyncio.timeout(self._asking.calls.patience.call),
            self._asking.calls.opened("PUT", url, redirect=False) as response,
        ):
            return redirected(response, path)

    def is_failed(self, url: URL) -> bool:
        """Say whether the DataNode at an address failed a while ago."""
        return url.authority in self._failed

    async def send(self, url: URL, content: AsyncIterable[bytes]) -> None:
        """Make a file at the address that `target` or `place` returned.

        Raises:
            AnswerError, RemoteError, TimeoutError: it was not made, or nobody says that it was.
            Exception: what `content` raised.
        """
        patience = self._asking.calls.patience
        failure: list[BaseException] = []

        async def watched(limit: asyncio.Timeout) -> AsyncGenerator[memoryview]:
            """Yield the pieces; the clock runs only while the DataNode is to take one."""
            now = asyncio.get_running_loop().time
            since = now()
            try:
                async for whole in content:
                    call.idle += now() - since
                    for start in range(0, len(whole), _SENT):
                        piece = memoryview(whole)[start : start + _SENT]
                        call.bytes += len(piece)
                        limit.reschedule(now() + patience.transfer(len(piece)))
                        yield piece
                        limit.reschedule(None)
                        del piece  # see `views.Pieces`
                    del whole
                    since = now()
            except BaseException as error:
                failure.append(error)
                raise
            call.idle += now() - since
            limit.reschedule(now() + patience.call)

        try:
            with self._asking.traffic.call(url.authority or "", Direction.WRITE) as call:
                async with asyncio.timeout(patience.call) as limit:
                    body = SentBody(watched(limit))
                    async with self._asking.calls.opened("PUT", url, body) as response:
                        made = response.status == 201
        except Exception as error:
            if failure and isinstance(failure[0], Exception):
                raise failure[0] from None
            late = isinstance(error, RemoteError | TimeoutError)
            if late and not isinstance(error, OutageError):
                self._failed[url.authority] = None
            raise
        if not made:
            raise AnswerError(errno.EIO, f"{url.host} does not say that it made {url.path}")

    async def _data_nodes(self) -> tuple[answers.DataNode, ...]:
        url = URL.build(path="/jmx", query={"qry": _NODES_BEAN})
        data = bytearray()
        async with (
            asyncio.timeout(self._asking.calls.patience.call),
            self._asking.calls.opened("GET", url) as response,
        ):
            tls = response.url.scheme == "https"
            while len(data) <= _NODES and (piece := await response.content.read(PIECE)):
                data += piece
        return answers.parse_data_nodes(bytes(data), tls=tls)


def _known_as(path: str, number: int | None) -> str:
    """Return by what the node is remembered that serves a file."""
    return path if number is None else f"/{number}"


def _at(url: URL, place: str) -> URL:
    """Return an address at another DataNode."""
    host, _, port = place.rpartition(":")
    return url.with_host(host.strip("[]")).with_port(int(port))
