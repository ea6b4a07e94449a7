"""Files in HDFS, over WebHDFS: plain HTTP, a deadline on every call, files on chosen DataNodes.

A DataNode's own HTTP server writes the first replica of every block to itself. So a file is put on
a node by sending it to that node instead of the one that the NameNode would choose, and stripes
on different nodes are read and written at the sum of their speeds.

A label is kept as the time of the last access, which HDFS lets us set and then leaves alone, as it
lies far in the future.

Concurrency: the event loop's thread only; shared are aiohttp's session and what `webhdfs_nodes`
remembers. HDFS renames in one step.
"""

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Sequence,
)
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp
from cachetools import TTLCache
from yarl import URL

from bootseer.errors import NotFoundError, RemoteError
from bootseer.webhdfs import answers
from bootseer.webhdfs.address import HdfsAddress
from bootseer.webhdfs.calls import PIECE, Calls, OutageError, Patience
from fuse_hdfs.stores.names import checked
from fuse_hdfs.stores.owners import NOBODY, gid_of, name_of_group, name_of_user, uid_of
from fuse_hdfs.stores.store import USER, Block, Space, Status, Stream
from fuse_hdfs.stores.traffic import Traffic
from fuse_hdfs.stores.webhdfs_asking import SMALL, Asking, Tries
from fuse_hdfs.stores.webhdfs_errors import PastEndError, broke_off, errno_error
from fuse_hdfs.stores.webhdfs_nodes import DataNodes
from fuse_hdfs.stores.webhdfs_receiving import AnswerBody

log = logging.getLogger(__name__)

_BATCH: Final = 16 << 20
"""Most bytes of one part of a list; NameNodes send 1000 entries at a time."""
_XATTRS: Final = 4 << 20
_BLOCKS: Final = 32 << 20
_REFUSAL_S: Final = 5.0
"""For so long a DataNode that broke off is asked why."""
_NAMES_S: Final = 60.0
"""For so long the number of a name is believed."""
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
            asked = partial(first.small, "GET", "", "GETFILESTATUS", SMALL)
            data = await first.in_turn(asked)
            if not answers.parse_status(data).directory:
                raise NotFoundError(f"{first.absolute('')} is no directory")
            yield WebHdfsStore(first.raising(errno_error), copies)
        finally:
            await first.close()


class WebHdfsStore:
    """A `Store` in a directory of HDFS."""

    def __init__(self, calls: Calls, copies: int | None = None) -> None:
        self._calls = calls
        self.traffic = Traffic()
        self._writing = {} if copies is None else {"replication": str(copies)}
        self._asking = Asking(calls, self.traffic)
        self._nodes = DataNodes(self._asking)
        self._labels = True
        self._numbers: TTLCache[tuple[str, str], int] = TTLCache(1_000, _NAMES_S)

    async def stat(self, path: str) -> Status:
        """See `Store.stat`."""
        data = await self._asking.small("GET", path, "GETFILESTATUS")
        return self._status(answers.parse_status(data), _name(path))

    async def list(self, path: str) -> list[Status]:
        """See `Store.list`."""
        found: list[answers.Status] = []
        query: dict[str, str] = {}
        while True:
            data = await self._asking.small("GET", path, "LISTSTATUS_BATCH", _BATCH, **query)
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
            return await self._asking.again(
                self._read, checked(path), number, offset, length, place
            )
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
                    url = await self._nodes.reading(checked(path), None, query, place)
                    with self._nodes.noticing(url):
                        opening = self._calls.opened("GET", url)
                        response = await stack.enter_async_context(opening)
                self._nodes.serves(path, None, url)
                return _Answer(self, AnswerBody(response), url)

            yield await self._asking.once(opened, path)

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
            await self._asking.once(partial(self._calls.again, again), path)
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
        url = await self._nodes.target(path, query, place)
        begun: list[bool] = []

        async def watched() -> AsyncGenerator[bytes]:
            begun.append(True)
            async for piece in content:
                yield piece
                del piece  # see `views.Pieces`

        try:
            await self._asking.once(partial(self._nodes.send, url, watched()), path)
        except OSError as error:
            if begun and broke_off(error):
                refusal = await self._refusal(path, url)
                if refusal is not None:
                    raise refusal from error
            if begun or not self._nodes.is_failed(url):
                raise
            # Nobody was there to be told of the file: nothing of it is sent yet.
            log.info("write.elsewhere", extra={"fields": {"path": path, "reason": str(error)}})
            url = await self._asking.again(self._nodes.place, path, query)
            await self._asking.once(partial(self._nodes.send, url, content), path)

    async def _refusal(self, path: str, url: URL) -> OSError | None:
        """Return what a DataNode has against a file that it broke off; None if it says nothing.

        It said so before, but who is sent more when he has closed resets the connection, and what
        he said is lost. So it is asked again, with a file beside that is one byte.
        """
        beside = f"{path}.refused"
        asked = url.with_path(self._calls.url(beside, "").path).with_query(url.query)
        try:
            async with asyncio.timeout(_REFUSAL_S):
                await self._asking.once(partial(self._nodes.send, asked, _pieces(b"?")), beside)
        except OSError as error:  # a TimeoutError is one
            return None if error.errno in (None, errno.EIO, errno.ETIMEDOUT) else error
        finally:
            with contextlib.suppress(OSError):
                await self._delete(beside, recursive=False)
        return None

    async def places(self) -> tuple[str, ...]:
        """See `Store.places`."""
        return await self._nodes.places()

    async def blocks(self, path: str) -> tuple[Block, ...]:
        """See `Store.blocks`."""
        data = await self._asking.small("GET", path, "GETFILEBLOCKLOCATIONS", _BLOCKS)
        http = {one.transfer: one.address for one in await self._nodes.known()}
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
        tries = Tries()
        try:
            await self._asking.small("PUT", old, "RENAME", SMALL, tries, **query)
        except FileNotFoundError:
            if not (tries.several and await self._is_there(new)):
                raise
        except OSError as error:
            raise await self._why_not(error, old, new) from error
        self._nodes.forget(old, new)

    async def put_in_place(self, hidden: str, path: str, made: Status | None) -> Status:
        """See `Store.put_in_place`: HDFS changes nothing of a file that it moves."""
        await self.rename(hidden, path, replace=True)
        if made is None:
            return await self.stat(path)
        return dataclasses.replace(made, name=_name(path))

    async def concat(self, path: str, others: Sequence[str]) -> None:
        """See `Store.concat`. HDFS moves blocks between files of like block size."""
        sources = [self._calls.absolute(checked(other)) for other in others]
        if any("," in source for source in sources):  # which is what separates them
            raise _error(errno.ENOTSUP, path)
        # Once: a second attempt would not find what the first one used up.
        await self._asking.once(
            partial(
                self._calls.small,
                "POST",
                checked(path),
                "CONCAT",
                SMALL,
                sources=",".join(sources),
            ),
            path,
        )
        self._nodes.forget(path, *others)

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
        await self._asking.small("PUT", path, "MKDIRS", permission=f"{mode:o}")
        await self.set_mode(path, mode)  # HDFS applies its own umask

    async def make_directories(self, path: str) -> None:
        """See `Store.make_directories`."""
        await self._asking.small("PUT", path, "MKDIRS")

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
        await self._asking.small("PUT", path, "SETPERMISSION", permission=f"{mode:o}")

    async def set_owner(self, path: str, uid: int | None, gid: int | None) -> None:
        """See `Store.set_owner`; EINVAL for numbers that have no name here."""
        names: dict[str, str] = {}
        if uid is not None:
            names["owner"] = name_of_user(uid, self._calls.user)
        if gid is not None:
            names["group"] = name_of_group(gid)
        if names:
            await self._asking.small("PUT", path, "SETOWNER", **names)

    async def give(self, path: str, uid: int, gid: int) -> None:
        """See `Store.give`. Groups are the directory's in HDFS; only its superuser gives away."""
        del gid
        if uid != os.getuid():
            with contextlib.suppress(OSError):
                await self.set_owner(path, uid, None)

    async def set_modified(self, path: str, modified_ns: int) -> None:
        """See `Store.set_modified`: to the millisecond."""
        times = {"modificationtime": str(modified_ns // 1_000_000), "accesstime": "-1"}
        await self._asking.small("PUT", path, "SETTIMES", **times)

    async def set_label(self, path: str, label: int) -> None:
        """See `Store.set_label`. Where HDFS keeps no time of access there are no labels."""
        if not self._labels:
            return
        times = {"modificationtime": "-1", "accesstime": str(_LABEL | label)}
        try:
            await self._asking.small("PUT", path, "SETTIMES", **times)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._labels = False
            log.warning("labels.none", extra={"fields": {"reason": str(error)}})

    async def xattrs(self, path: str) -> dict[str, bytes]:
        """See `Store.xattrs`."""
        data = await self._asking.small("GET", path, "GETXATTRS", _XATTRS, encoding="hex")
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
        await self._asking.small("PUT", path, "SETXATTR", **query)

    async def remove_xattr(self, path: str, name: str) -> None:
        """See `Store.remove_xattr`."""
        if name not in await self.xattrs(path):
            raise _error(errno.ENODATA, name)
        await self._asking.small("PUT", path, "REMOVEXATTR", **{"xattr.name": name})

    async def space(self) -> Space:
        """See `Store.space`: of the whole file system."""
        room = answers.parse_room(await self._asking.small("GET", "", "GETSTATUS"))
        return Space(room.total, room.free)

    async def next_of(self, body: AnswerBody, url: URL, length: int) -> bytes:
        """Return the next bytes of an answer from a DataNode."""

        async def read() -> bytes:
            with self._nodes.noticing(url) as call:
                try:
                    async with asyncio.timeout(self._calls.patience.transfer(length)):
                        data = await body.read(length)
                        call.bytes = len(data)
                        return data
                except aiohttp.ClientError as error:
                    raise RemoteError(f"{url.authority} breaks off", temporary=True) from error

        return await self._asking.once(read, url.path)

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

    async def _read(
        self, path: str, number: int | None, offset: int, length: int, place: str | None
    ) -> bytes:
        query = {"offset": str(offset), "length": str(length)}
        async with asyncio.timeout(self._calls.patience.call):
            url = await self._nodes.reading(path, number, query, place)
        with self._nodes.noticing(url) as call:
            async with (
                asyncio.timeout(self._calls.patience.transfer(length)),
                self._calls.opened("GET", url) as response,
            ):
                data = await AnswerBody(response).read(length)
            call.bytes = len(data)
        self._nodes.serves(path, number, url)
        return data

    async def _delete(self, path: str, *, recursive: bool) -> None:
        truth = "true" if recursive else "false"
        tries = Tries()
        data = await self._asking.small("DELETE", path, "DELETE", SMALL, tries, recursive=truth)
        if not answers.parse_boolean(data) and not tries.several:
            raise _error(errno.ENOENT, path)
        self._nodes.forget(path)

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


@dataclass(frozen=True, slots=True)
class _Answer:
    """A stream."""

    store: WebHdfsStore
    body: AnswerBody
    url: URL

    @property
    def place(self) -> str | None:
        return self.url.authority

    async def read(self, length: int) -> bytes:
        return await self.store.next_of(self.body, self.url, length)


async def _pieces(data: bytes) -> AsyncGenerator[bytes]:
    if data:
        yield data


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _number(of: Status) -> int:
    """Return HDFS' number of a file."""
    return int(of.identity.partition(":")[0])


def _error(number: int, what: str) -> OSError:
    return OSError(number, os.strerror(number), what)
