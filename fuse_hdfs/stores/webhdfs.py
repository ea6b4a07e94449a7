"""Files in HDFS, over WebHDFS: plain HTTP, a deadline on every call, files on chosen DataNodes.

A DataNode's own HTTP server writes the first replica of every block to itself. So a file is put on
a node by sending it to that node instead of the one that the NameNode would choose, and stripes
on different nodes are read and written at the sum of their speeds.

Concurrency: shared are aiohttp's session, a cache of the node that last served each path, where a
wrong entry costs a detour, and the list of nodes, asked for again every few seconds. HDFS renames
in one step.
"""

import asyncio
import contextlib
import errno
import grp
import os
import pwd
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Sequence,
)
from functools import partial
from typing import Final, TypeVar

import aiohttp
from cachetools import LRUCache
from yarl import URL

from bootseer.errors import BootseerError, NotFoundError
from bootseer.webhdfs import answers
from bootseer.webhdfs.address import HdfsAddress
from bootseer.webhdfs.calls import PIECE, Calls, Patience, redirected
from fuse_hdfs.stores.store import USER, Block, Space, Status
from fuse_hdfs.stores.webhdfs_errors import AnswerError, PastEndError, errno_error

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
_SERVED_BY: Final = 100_000
_NOBODY: Final = 65534


@contextlib.asynccontextmanager
async def open_webhdfs(address: HdfsAddress, patience: Patience) -> AsyncIterator["WebHdfsStore"]:
    """Open the store at an address; usable inside the context only.

    Raises:
        NotFoundError: there is no such directory.
        RemoteError: the NameNode does not answer, or refuses.
    """
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=64)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=PIECE,
        trust_env=False,
    ) as session:
        # Asked with errors for people, once: whatever is wrong now is wrong with the address.
        first = Calls(session, address, patience)
        asked = partial(first.small, "GET", "", "GETFILESTATUS", _SMALL)
        data = await first.in_turn(asked)
        if not answers.parse_status(data).directory:
            raise NotFoundError(f"{first.absolute('')} is no directory")
        yield WebHdfsStore(Calls(session, address, patience, errno_error))


class WebHdfsStore:
    """A `Store` in a directory of HDFS."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._served_by: LRUCache[str, URL] = LRUCache(_SERVED_BY)
        self._nodes: tuple[answers.DataNode, ...] = ()
        self._nodes_known = float("-inf")

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

    async def read(self, path: str, offset: int, length: int, *, place: str | None = None) -> bytes:
        """See `Store.read`."""
        if not length:
            return b""
        try:
            return await self._try(self._read, _checked(path), offset, length, place)
        except PastEndError:
            return b""

    async def write(
        self, path: str, content: AsyncIterable[bytes], *, place: str | None = None
    ) -> None:
        """See `Store.write`."""
        url = await self._try(self._place, _checked(path))
        if place is not None:
            url = _at(url, place)
        await self._once(partial(self._send, url, content), path)

    async def places(self) -> tuple[str, ...]:
        """See `Store.places`: the DataNodes that the NameNode hears of."""
        nodes = await self._known_nodes()
        return tuple(one.address for one in nodes if one.serves and one.silent_s <= _SILENT_S)

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
        destination = self._calls.absolute(_checked(new))
        try:
            await self._small("PUT", old, "RENAME", destination=destination, renameoptions=how)
        except OSError as error:
            raise await self._why_not(error, old, new) from error
        self._served_by.pop(old, None)
        self._served_by.pop(new, None)

    async def concat(self, path: str, others: Sequence[str]) -> None:
        """See `Store.concat`. HDFS moves blocks between files of like block size."""
        sources = [self._calls.absolute(_checked(other)) for other in others]
        if any("," in source for source in sources):  # which is what separates them
            raise _error(errno.ENOTSUP, path)
        # Once: a second attempt would not find what the first one used up.
        await self._once(
            partial(
                self._calls.small,
                "POST",
                _checked(path),
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
        try:
            if uid is not None:
                own = uid == os.getuid()
                names["owner"] = self._calls.user if own else pwd.getpwuid(uid).pw_name
            if gid is not None:
                names["group"] = grp.getgrgid(gid).gr_name
        except KeyError:
            raise _error(errno.EINVAL, path) from None
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

    # Inside

    def _status(self, found: answers.Status, name: str) -> Status:
        modified_ns = found.modified_ms * 1_000_000
        identity = f"{found.number}:{found.modified_ms}:{found.size}"
        uid, gid = self._uid(found.owner), _gid(found.group)
        size = 0 if found.directory else found.size
        return Status(name, found.directory, size, found.mode, uid, gid, modified_ns, identity)

    def _uid(self, owner: str) -> int:
        """Return the number of a name: ours for the user that we are there."""
        if owner == self._calls.user:
            return os.getuid()
        try:
            return pwd.getpwnam(owner).pw_uid
        except KeyError:
            return _NOBODY

    async def _known_nodes(self) -> tuple[answers.DataNode, ...]:
        if time.monotonic() - self._nodes_known > _NODES_S:
            self._nodes = await self._try(self._data_nodes)
            self._nodes_known = time.monotonic()
        return self._nodes

    async def _read(self, path: str, offset: int, length: int, place: str | None) -> bytes:
        query = {"offset": str(offset), "length": str(length)}
        node = self._served_by.get(path)
        if node is None:
            url = self._calls.url(path, "OPEN", **query)
        else:
            url = (node if place is None else _at(node, place)).update_query(query)
        data = bytearray()
        try:
            async with (
                asyncio.timeout(self._calls.patience.transfer(length)),
                self._calls.opened("GET", url) as response,
            ):
                served = response.url
                while len(data) < length and (piece := await response.content.read(PIECE)):
                    data += piece
        except BaseException:
            # The next attempt asks the NameNode.
            self._served_by.pop(path, None)
            raise
        self._served_by[path] = served
        return bytes(data[:length])

    async def _place(self, path: str) -> URL:
        """Ask the NameNode where it would have a file written."""
        url = self._calls.url(path, "CREATE", overwrite="false")
        async with (
            asyncio.timeout(self._calls.patience.call),
            self._calls.opened("PUT", url, redirect=False) as response,
        ):
            return redirected(response, path)

    async def _send(self, url: URL, content: AsyncIterable[bytes]) -> None:
        patience = self._calls.patience
        failure: list[BaseException] = []

        async def watched(limit: asyncio.Timeout) -> AsyncGenerator[bytes]:
            """Yield the pieces; the clock runs only while the DataNode is to take one."""
            now = asyncio.get_running_loop().time
            try:
                async for piece in content:
                    limit.reschedule(now() + patience.transfer(len(piece)))
                    yield piece
                    limit.reschedule(None)
            except BaseException as error:
                failure.append(error)
                raise
            limit.reschedule(now() + patience.call)

        try:
            async with asyncio.timeout(patience.call) as limit:
                async with self._calls.opened("PUT", url, watched(limit)) as response:
                    made = response.status == 201
        except Exception:
            if failure and isinstance(failure[0], Exception):
                raise failure[0] from None
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
        data = await self._small("DELETE", path, "DELETE", recursive=truth)
        if not answers.parse_boolean(data):
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

    async def _small(
        self, method: str, path: str, op: str, most: int = _SMALL, /, **query: str
    ) -> bytes:
        return await self._try(
            partial(self._calls.small, method, _checked(path), op, most, **query)
        )

    async def _try(self, work: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Do what may fail for a while, a few times."""
        return await self._once(partial(self._calls.again, partial(work, *arguments)), "")

    async def _once(self, work: Callable[[], Awaitable[T]], path: str) -> T:
        """Turn what is no `OSError` into one."""
        try:
            return await work()
        except AnswerError as error:
            raise OSError(error.number, os.strerror(error.number), error.what) from None
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, "HDFS does not answer in time", path) from error
        except BootseerError as error:
            raise OSError(errno.EIO, error.message, path) from error


def _at(url: URL, place: str) -> URL:
    """Return an address at another DataNode."""
    host, _, port = place.rpartition(":")
    return url.with_host(host.strip("[]")).with_port(int(port))


def _checked(path: str) -> str:
    """Return a path that HDFS can have. OSError: EILSEQ, EINVAL."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise _error(errno.EILSEQ, path) from None
    if ":" in path:
        raise _error(errno.EINVAL, path)
    return path


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return _NOBODY


def _error(number: int, what: str) -> OSError:
    return OSError(number, os.strerror(number), what)
