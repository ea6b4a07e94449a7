"""Files in HDFS, over WebHDFS: plain HTTP, a deadline on every call, files on chosen DataNodes.

A DataNode's own HTTP server writes the first replica of every block to itself. So a file is put on
a node by sending it to that node instead of the one that the NameNode would choose, and stripes
on different nodes are read and written at the sum of their speeds.

The NameNode is asked where to write once; from then on we choose the DataNode ourselves. A DataNode
that fails is left alone for a while, as the NameNode finds out much later.

A label is kept as the time of the last access, which HDFS lets us set and then leaves alone, as it
lies far in the future.

Concurrency: shared are aiohttp's session, a cache of the node that last served each path, where a
wrong entry costs a detour, the nodes that failed, how files are sent, and the list of nodes, asked
for again every few seconds. HDFS renames in one step.
"""

import asyncio
import contextlib
import errno
import logging
import os
import random
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import aiohttp
from cachetools import LRUCache, TTLCache
from yarl import URL

from bootseer.errors import BootseerError, NotFoundError, RemoteError
from bootseer.webhdfs import answers
from bootseer.webhdfs.address import HdfsAddress
from bootseer.webhdfs.calls import PIECE, Calls, OutageError, Patience, redirected
from bootseer.webhdfs.gss import TicketError
from fuse_hdfs.stores.names import checked
from fuse_hdfs.stores.owners import NOBODY, gid_of, name_of_group, name_of_user, uid_of
from fuse_hdfs.stores.store import USER, Block, Space, Status, Stream
from fuse_hdfs.stores.traffic import Call, Direction, Traffic
from fuse_hdfs.stores.webhdfs_errors import AnswerError, PastEndError, errno_error

log = logging.getLogger(__name__)

T = TypeVar("T")

_SMALL: Final = 64 << 10
_BATCH: Final = 16 << 20
"""Most bytes of one part of a list; NameNodes send 1000 entries at a time."""
_NODES: Final = 4 << 20
_XATTRS: Final = 4 << 20
_BLOCKS: Final = 32 << 20
_NODES_BEAN: Final = "Hadoop:service=NameNode,name=NameNodeInfo"
_NODES_S: Final = 5.0
"""How long a list of DataNodes is believed."""
_SILENT_S: Final = 10
"""A DataNode that was silent for longer gets no new files."""
_RANGE: Final = frozenset({"offset", "length"})
_SERVED_BY: Final = 100_000
_FAILED_S: Final = 15.0
"""For so long a DataNode that failed is asked last."""
_SENDING_S: Final = 60.0
"""For so long the NameNode's word of how to send a file is believed."""
_LABEL: Final = 1 << 62
"""Bit of a time of access that is a label."""


@contextlib.asynccontextmanager
async def open_webhdfs(
    address: HdfsAddress, patience: Patience, copies: int | None = None
) -> AsyncIterator["WebHdfsStore"]:
    """Open the store at an address; usable inside the context only.

    `copies`: of the blocks of new files; None: as many as the cluster is configured for.

    Raises:
        NotFoundError: there is no such directory.
        RemoteError: the NameNode does not answer, or refuses.
        TicketError: the cluster wants Kerberos, and there is no ticket.
    """
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=512)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=PIECE,
        trust_env=False,
    ) as session:
        # Asked with errors for people, once: whatever is wrong now is wrong with the address.
        first = Calls(session, address, patience)
        try:
            asked = partial(first.small, "GET", "", "GETFILESTATUS", _SMALL)
            data = await first.in_turn(asked)
            if not answers.parse_status(data).directory:
                raise NotFoundError(f"{first.absolute('')} is no directory")
            yield WebHdfsStore(first.raising(errno_error), copies)
        finally:
            await first.close()


@dataclass(slots=True)
class _Tries:
    """How often something was asked for: of several times an earlier one may have been heard."""

    number: int = 0

    @property
    def several(self) -> bool:
        return self.number > 1


class WebHdfsStore:
    """A `Store` in a directory of HDFS."""

    def __init__(self, calls: Calls, copies: int | None = None) -> None:
        self._calls = calls
        self.traffic = Traffic()
        self._writing = {} if copies is None else {"replication": str(copies)}
        self._served_by: LRUCache[str, URL] = LRUCache(_SERVED_BY)
        self._nodes: tuple[answers.DataNode, ...] = ()
        self._nodes_known = float("-inf")
        self._failed: TTLCache[str, None] = TTLCache(1_000, _FAILED_S)
        self._labels = True
        self._sending: TTLCache[str, URL] = TTLCache(1, _SENDING_S)
        self._numbers: TTLCache[tuple[str, str], int] = TTLCache(1_000, _SENDING_S)

    async def stat(self, path: str) -> Status:
        """See `Store.stat`."""
        data = await self._small("GET", path, "GETFILESTATUS")
        return self._status(answers.parse_status(data), path.rpartition("/")[2])

    async def list(self, path: str) -> list[Status]:
        """See `Store.list`."""
        found: list[answers.Status] = []
        query: dict[str, str] = {}
        while True:
            data = await self._small("GET", path, "LISTSTATUS_BATCH", _BATCH, **query)
            batch = answers.parse_batch(data)
            found += batch.entries
            if not batch.more:
                break
            query = {"startAfter": batch.entries[-1].name}
        if any(not status.name for status in found):  # HDFS lists a file as itself
            raise _error(errno.ENOTDIR, path)
        return [self._status(status, status.name) for status in found]

    async def read(
        self,
        path: str,
        offset: int,
        length: int,
        *,
        of: Status | None = None,
        place: str | None = None,
    ) -> bytes:
        """See `Store.read`."""
        if not length:
            return b""
        number = None if of is None else _number(of)
        try:
            return await self._try(self._read, checked(path), number, offset, length, place)
        except PastEndError:
            return b""
        except FileNotFoundError:
            if of is None:
                raise
            raise _error(errno.ESTALE, path) from None

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, offset: int, *, place: str | None = None
    ) -> AsyncIterator[Stream]:
        """See `Store.stream`: the answer to one request, which waits in the socket."""
        async with contextlib.AsyncExitStack() as stack:

            async def opened() -> Stream:
                query = {"offset": str(offset)}
                async with asyncio.timeout(self._calls.patience.call):
                    url = await self._reading(checked(path), None, query, place)
                    with self._noticing(url):
                        opening = self._calls.opened("GET", url)
                        response = await stack.enter_async_context(opening)
                self._served_by[path] = url
                return _Answer(self, response, url)

            yield await self._once(opened, path)

    async def write(
        self,
        path: str,
        content: AsyncIterable[bytes] | bytes,
        *,
        mode: int = 0o644,
        parents: bool = True,
        place: str | None = None,
    ) -> None:
        """See `Store.write`."""
        query = {"permission": f"{mode:o}", "createparent": "true" if parents else "false"}
        query |= self._writing
        if isinstance(content, bytes):
            again = partial(self._write_whole, checked(path), content, query, place)
            await self._once(partial(self._calls.again, again), path)
        else:
            await self._write(checked(path), content, query, place)

    async def _write_whole(
        self, path: str, content: bytes, query: dict[str, str], place: str | None
    ) -> None:
        """Write a file once; OutageError where no DataNode reaches a NameNode to make it."""
        try:
            await self._write(path, _pieces(content), query, place)
        except OSError as error:
            if isinstance(error.__cause__, OutageError):
                raise error.__cause__ from error
            raise

    async def _write(
        self, path: str, content: AsyncIterable[bytes], query: dict[str, str], place: str | None
    ) -> None:
        url = await self._target(path, query, place)
        begun: list[bool] = []

        async def watched() -> AsyncGenerator[bytes]:
            begun.append(True)
            async for piece in content:
                yield piece

        try:
            await self._once(partial(self._send, url, watched()), path)
        except OSError as error:
            if begun or not self._is_failed(url):
                raise
            # Nobody was there to be told of the file: nothing of it is sent yet.
            log.info("write.elsewhere", extra={"fields": {"path": path, "reason": str(error)}})
            url = await self._try(self._place, path, query)
            await self._once(partial(self._send, url, content), path)

    async def places(self) -> tuple[str, ...]:
        """See `Store.places`: the DataNodes that the NameNode hears of."""
        nodes = await self._known_nodes()
        heard = [one.address for one in nodes if one.serves and one.silent_s <= _SILENT_S]
        return tuple(one for one in heard if one not in self._failed) or tuple(heard)

    async def blocks(self, path: str) -> tuple[Block, ...]:
        """See `Store.blocks`."""
        data = await self._small("GET", path, "GETFILEBLOCKLOCATIONS", _BLOCKS)
        http = {one.transfer: one.address for one in await self._known_nodes()}
        return tuple(
            Block(one.offset, one.length, tuple(http[name] for name in one.names if name in http))
            for one in answers.parse_blocks(data)
        )

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See `Store.rename`."""
        if old == new and replace:
            await self.stat(old)
            return
        how = "OVERWRITE" if replace else "NONE"
        destination = self._calls.absolute(checked(new))
        query = {"destination": destination, "renameoptions": how}
        tries = _Tries()
        try:
            await self._small("PUT", old, "RENAME", _SMALL, tries, **query)
        except FileNotFoundError:
            if not (tries.several and await self._is_there(new)):
                raise
        except OSError as error:
            raise await self._why_not(error, old, new) from error
        self._served_by.pop(old, None)
        self._served_by.pop(new, None)

    async def concat(self, path: str, others: Sequence[str]) -> None:
        """See `Store.concat`. HDFS moves blocks between files of like block size."""
        sources = [self._calls.absolute(checked(other)) for other in others]
        if any("," in source for source in sources):  # which is what separates them
            raise _error(errno.ENOTSUP, path)
        # Once: a second attempt would not find what the first one used up.
        await self._once(
            partial(
                self._calls.small,
                "POST",
                checked(path),
                "CONCAT",
                _SMALL,
                sources=",".join(sources),
            ),
            path,
        )
        for other in others:
            self._served_by.pop(other, None)
        self._served_by.pop(path, None)

    async def can_concat(self) -> bool:
        """See `Store.can_concat`: it asks for a comma-separated list."""
        return "," not in self._calls.absolute("")

    async def make_directory(self, path: str, mode: int) -> None:
        """See `Store.make_directory`. HDFS would make those above it and not mind if it exists."""
        with contextlib.suppress(FileNotFoundError):
            await self.stat(path)
            raise _error(errno.EEXIST, path)
        if not (await self.stat(path.rpartition("/")[0])).directory:
            raise _error(errno.ENOTDIR, path)
        await self._small("PUT", path, "MKDIRS", permission=f"{mode:o}")
        await self.set_mode(path, mode)  # HDFS applies its own umask

    async def make_directories(self, path: str) -> None:
        """See `Store.make_directories`."""
        await self._small("PUT", path, "MKDIRS")

    async def remove(self, path: str) -> None:
        """See `Store.remove`."""
        if (await self.stat(path)).directory:
            raise _error(errno.EISDIR, path)
        await self._delete(path, recursive=False)

    async def remove_directory(self, path: str) -> None:
        """See `Store.remove_directory`."""
        if not (await self.stat(path)).directory:
            raise _error(errno.ENOTDIR, path)
        await self._delete(path, recursive=False)

    async def remove_tree(self, path: str) -> None:
        """See `Store.remove_tree`."""
        with contextlib.suppress(FileNotFoundError):
            await self._delete(path, recursive=True)

    async def set_mode(self, path: str, mode: int) -> None:
        """See `Store.set_mode`."""
        await self._small("PUT", path, "SETPERMISSION", permission=f"{mode:o}")

    async def set_owner(self, path: str, uid: int | None, gid: int | None) -> None:
        """See `Store.set_owner`; EINVAL for numbers that have no name here."""
        names: dict[str, str] = {}
        if uid is not None:
            names["owner"] = name_of_user(uid, self._calls.user)
        if gid is not None:
            names["group"] = name_of_group(gid)
        if names:
            await self._small("PUT", path, "SETOWNER", **names)

    async def give(self, path: str, uid: int, gid: int) -> None:
        """See `Store.give`. Groups are the directory's in HDFS; only its superuser gives away."""
        del gid
        if uid != os.getuid():
            with contextlib.suppress(OSError):
                await self.set_owner(path, uid, None)

    async def set_modified(self, path: str, modified_ns: int) -> None:
        """See `Store.set_modified`: to the millisecond."""
        times = {"modificationtime": str(modified_ns // 1_000_000), "accesstime": "-1"}
        await self._small("PUT", path, "SETTIMES", **times)

    async def set_label(self, path: str, label: int) -> None:
        """See `Store.set_label`. Where HDFS keeps no time of access there are no labels."""
        if not self._labels:
            return
        times = {"modificationtime": "-1", "accesstime": str(_LABEL | label)}
        try:
            await self._small("PUT", path, "SETTIMES", **times)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._labels = False
            log.warning("labels.none", extra={"fields": {"reason": str(error)}})

    async def xattrs(self, path: str) -> dict[str, bytes]:
        """See `Store.xattrs`."""
        data = await self._small("GET", path, "GETXATTRS", _XATTRS, encoding="hex")
        found = answers.parse_xattrs(data)
        return {name: value for name, value in found.items() if name.startswith(USER)}

    async def set_xattr(self, path: str, name: str, value: bytes) -> None:
        """See `Store.set_xattr`."""
        if not name.startswith(USER):
            raise _error(errno.ENOTSUP, name)
        query = {
            "xattr.name": name,
            "xattr.value": f"0x{value.hex()}",
            "encoding": "hex",
            "flag": "CREATE,REPLACE",
        }
        await self._small("PUT", path, "SETXATTR", **query)

    async def remove_xattr(self, path: str, name: str) -> None:
        """See `Store.remove_xattr`."""
        if name not in await self.xattrs(path):
            raise _error(errno.ENODATA, name)
        await self._small("PUT", path, "REMOVEXATTR", **{"xattr.name": name})

    async def space(self) -> Space:
        """See `Store.space`: of the whole file system."""
        room = answers.parse_room(await self._small("GET", "", "GETSTATUS"))
        return Space(room.total, room.free)

    async def next_of(self, response: aiohttp.ClientResponse, url: URL, length: int) -> bytes:
        """Return the next bytes of an answer from a DataNode."""

        async def read() -> bytes:
            with self._noticing(url) as call:
                try:
                    async with asyncio.timeout(self._calls.patience.transfer(length)):
                        data = await _at_most(response, length)
                        call.bytes = len(data)
                        return data
                except aiohttp.ClientError as error:
                    raise RemoteError(f"{url.authority} breaks off", temporary=True) from error

        return await self._once(read, url.path)

    # Inside

    def _status(self, found: answers.Status, name: str) -> Status:
        modified_ns = found.modified_ms * 1_000_000
        identity = f"{found.number}:{found.modified_ms}:{found.size}"
        uid = self._known_as("user", found.owner, partial(uid_of, own=self._calls.user))
        gid = self._known_as("group", found.group, gid_of)
        size = 0 if found.directory else found.size
        label = found.accessed_ms ^ _LABEL if found.accessed_ms & _LABEL else 0
        directory, mode = found.directory, found.mode
        return Status(name, directory, size, mode, uid, gid, modified_ns, identity, label)

    def _known_as(self, kind: str, name: str, look: Callable[[str], int]) -> int:
        """Return the number of a name, looked up once in a while, as lists have it many times."""
        key = (kind, name)
        if key not in self._numbers:
            self._numbers[key] = look(name)
        return self._numbers.get(key, NOBODY)

    async def _known_nodes(self) -> tuple[answers.DataNode, ...]:
        if time.monotonic() - self._nodes_known > _NODES_S:
            self._nodes = await self._try(self._data_nodes)
            self._nodes_known = time.monotonic()
        return self._nodes

    async def _read(
        self, path: str, number: int | None, offset: int, length: int, place: str | None
    ) -> bytes:
        query = {"offset": str(offset), "length": str(length)}
        async with asyncio.timeout(self._calls.patience.call):
            url = await self._reading(path, number, query, place)
        with self._noticing(url) as call:
            async with (
                asyncio.timeout(self._calls.patience.transfer(length)),
                self._calls.opened("GET", url) as response,
            ):
                data = await _at_most(response, length)
            call.bytes = len(data)
        self._served_by[_known(path, number)] = url
        return data

    async def _reading(
        self, path: str, number: int | None, query: dict[str, str], place: str | None
    ) -> URL:
        """Return where to read: where that was done before, or where the NameNode says.

        Forgotten then: who succeeds there says so.
        """
        url = self._served_by.pop(_known(path, number), None)
        if url is None or (place is None and self._is_failed(url)):
            url = await self._reader(path, number, query)
        else:
            url = url.with_query({k: v for k, v in url.query.items() if k not in _RANGE})
            url = url.update_query(query)
        return url if place is None or place in self._failed else _at(url, place)

    async def _reader(self, path: str, number: int | None, query: dict[str, str]) -> URL:
        """Return where the NameNode has it read: at a node that failed only if no other has it."""
        if number is None:
            url = self._calls.url(path, "OPEN", **query)
        else:
            url = self._calls.inode_url(number, "OPEN", **query)
        if without := self._without_failed():
            with contextlib.suppress(AnswerError):  # no other has it
                return await self._elsewhere(url.update_query(without))
        return await self._elsewhere(url)

    @contextlib.contextmanager
    def _noticing(self, url: URL) -> Iterator[Call]:
        """Count a read, and take note of a DataNode that fails inside, or is too late."""
        try:
            with self.traffic.call(url.authority or "", Direction.READ) as call:
                yield call
        except (RemoteError, TimeoutError) as error:
            if not isinstance(error, OutageError):
                self._failed[url.authority] = None
            raise

    def _without_failed(self) -> dict[str, str]:
        """Return what makes the NameNode name none of the DataNodes that failed."""
        names = [one.transfer for one in self._nodes if one.address in self._failed]
        some = 0 < len(names) < len(self._nodes)
        return {"excludedatanodes": ",".join(names)} if some else {}

    async def _elsewhere(self, url: URL) -> URL:
        """Return which DataNode the NameNode names for reading."""
        async with self._calls.opened("GET", url, redirect=False) as response:
            return redirected(response, url.path)

    async def _target(self, path: str, query: dict[str, str], place: str | None) -> URL:
        """Return where to send a new file."""
        sending = self._sending.get("")
        if sending is not None and place is None:
            places = await self.places()
            place = random.choice(places) if places else None  # noqa: S311  (not a secret)
        if sending is None or place is None:
            sending = await self._try(self._place, path, query)
            if "delegation" not in sending.query:  # which is a token for this one file
                self._sending[""] = sending
            if place is None:
                return sending
        whole = self._calls.url(path, "").path
        return _at(sending.with_path(whole).with_query({**sending.query, **query}), place)

    async def _place(self, path: str, query: dict[str, str]) -> URL:
        """Ask the NameNode where it would have a file written."""
        url = self._calls.url(path, "CREATE", overwrite="false", **query)
        url = url.update_query(self._without_failed())
        async with (
            asyncio.timeout(self._calls.patience.call),
            self._calls.opened("PUT", url, redirect=False) as response,
        ):
            return redirected(response, path)

    def _is_failed(self, url: URL) -> bool:
        return url.authority in self._failed

    async def _send(self, url: URL, content: AsyncIterable[bytes]) -> None:
        patience = self._calls.patience
        failure: list[BaseException] = []

        async def watched(limit: asyncio.Timeout) -> AsyncGenerator[bytes]:
            """Yield the pieces; the clock runs only while the DataNode is to take one."""
            now = asyncio.get_running_loop().time
            since = now()
            try:
                async for piece in content:
                    call.idle += now() - since
                    call.bytes += len(piece)
                    limit.reschedule(now() + patience.transfer(len(piece)))
                    yield piece
                    limit.reschedule(None)
                    since = now()
            except BaseException as error:
                failure.append(error)
                raise
            call.idle += now() - since
            limit.reschedule(now() + patience.call)

        try:
            with self.traffic.call(url.authority or "", Direction.WRITE) as call:
                async with asyncio.timeout(patience.call) as limit:
                    async with self._calls.opened("PUT", url, watched(limit)) as response:
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
            asyncio.timeout(self._calls.patience.call),
            self._calls.opened("GET", url) as response,
        ):
            while len(data) <= _NODES and (piece := await response.content.read(PIECE)):
                data += piece
        return answers.parse_data_nodes(bytes(data))

    async def _delete(self, path: str, *, recursive: bool) -> None:
        truth = "true" if recursive else "false"
        tries = _Tries()
        data = await self._small("DELETE", path, "DELETE", _SMALL, tries, recursive=truth)
        if not answers.parse_boolean(data) and not tries.several:
            raise _error(errno.ENOENT, path)
        self._served_by.pop(path, None)

    async def _why_not(self, error: OSError, old: str, new: str) -> OSError:
        """Return what rename(2) would say where HDFS says no more than that it does not."""
        if error.errno != errno.EIO:
            return error
        try:
            source, target = await self.stat(old), await self.stat(new)
        except OSError:
            return error
        if target.directory and not source.directory:
            return _error(errno.EISDIR, new)
        if source.directory and not target.directory:
            return _error(errno.ENOTDIR, new)
        return _error(errno.ENOTEMPTY, new) if target.directory else error

    async def _is_there(self, path: str) -> bool:
        try:
            await self.stat(path)
        except FileNotFoundError:
            return False
        return True

    async def _small(
        self,
        method: str,
        path: str,
        op: str,
        most: int = _SMALL,
        tries: "_Tries | None" = None,
        /,
        **query: str,
    ) -> bytes:
        small = partial(self._calls.small, method, checked(path), op, most, **query)

        async def counted() -> bytes:
            if tries is not None:
                tries.number += 1
            return await small()

        return await self._try(counted)

    async def _try(self, work: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Do what may fail for a while, a few times."""
        tries = _Tries()

        async def counted() -> T:
            tries.number += 1
            self.traffic.retries += tries.several
            return await work(*arguments)

        return await self._once(partial(self._calls.again, counted), "")

    async def _once(self, work: Callable[[], Awaitable[T]], path: str) -> T:
        """Turn what is no `OSError` into one."""
        try:
            return await work()
        except AnswerError as error:
            raise OSError(error.number, os.strerror(error.number), error.what) from None
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, "HDFS does not answer in time", path) from error
        except BootseerError as error:
            number = errno.EACCES if isinstance(error, TicketError) else errno.EIO
            raise OSError(number, error.message, path) from error


@dataclass(frozen=True, slots=True)
class _Answer:
    """A stream."""

    store: WebHdfsStore
    response: aiohttp.ClientResponse
    url: URL

    @property
    def place(self) -> str | None:
        return self.url.authority

    async def read(self, length: int) -> bytes:
        return await self.store.next_of(self.response, self.url, length)


def _known(path: str, number: int | None) -> str:
    """Return by what the node is remembered that serves a file."""
    return path if number is None else f"/{number}"


async def _pieces(data: bytes) -> AsyncGenerator[bytes]:
    if data:
        yield data


async def _at_most(response: aiohttp.ClientResponse, length: int) -> bytes:
    """Return so many bytes of an answer; fewer only where it ends."""
    try:
        return await response.content.readexactly(length)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _number(of: Status) -> int:
    """Return HDFS' number of a file."""
    return int(of.identity.partition(":")[0])


def _at(url: URL, place: str) -> URL:
    """Return an address at another DataNode."""
    host, _, port = place.rpartition(":")
    return url.with_host(host.strip("[]")).with_port(int(port))


def _error(number: int, what: str) -> OSError:
    return OSError(number, os.strerror(number), what)
