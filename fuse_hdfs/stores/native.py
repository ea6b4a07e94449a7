"""Files in HDFS over Hadoop's own protocol (hdfs-native), where WebHDFS is closed.

The NameNode chooses where files are: nothing is known of DataNodes here, so there are neither
places nor blocks; and files cannot be joined, nor have extended attributes. What identifies a file
is its time and size, as the library does not tell inode numbers.

Every call has a thread of its own and a deadline (`threads`): the library has none. A writer is
used by one call at a time, and dropped after the first error; a reader by any number.

Concurrency: nothing but the library's client is shared, which may be used by many threads.
"""

import asyncio
import contextlib
import errno
import importlib.util
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bootseer.errors import HostError, NotFoundError, RemoteError, UsageError
from bootseer.hadoop.client import HadoopClient
from bootseer.webhdfs.address import HdfsAddress
from bootseer.webhdfs.gss import own_name
from fuse_hdfs.stores.names import checked
from fuse_hdfs.stores.native_errors import AwayError, translated
from fuse_hdfs.stores.owners import gid_of, name_of_group, name_of_user, uid_of
from fuse_hdfs.stores.reads import Reads
from fuse_hdfs.stores.store import Block, Space, Status, Stream
from fuse_hdfs.stores.threads import Threads
from fuse_hdfs.stores.traffic import Traffic

if TYPE_CHECKING:
    from hdfs_native import Client, ContentSummary, FileReader, FileStatus
    from hdfs_native._internal import RawFileWriter

T = TypeVar("T")

_KEYS: Final = ("dfs.", "fs.", "hadoop.")
_HINT: Final = "is the address right, the NameNode up?"
_USER: Final = "HADOOP_USER_NAME"
_PIECE: Final = 1 << 20
"""Bytes of one read: larger ones are slower, as the library copies them."""
_CALLS: Final = 256
_PAUSE_S: Final = 0.5
_NO_LIMIT: Final = 1 << 60
"""What is free where no quota says it: the protocol's client does not ask how large HDFS is."""


@contextlib.asynccontextmanager
async def open_native(
    address: HdfsAddress, client: HadoopClient, patience: float
) -> AsyncIterator["NativeStore"]:
    """Open the store at an address; a call may take about `patience` seconds.

    Raises:
        HostError: hdfs-native is not installed, or there is no ticket where one is wanted.
        UsageError: this process is somebody else in another HDFS already.
        NotFoundError: there is no such directory.
        RemoteError: the NameNode does not answer, or refuses.
    """
    user = await asyncio.to_thread(own_name) if address.secure else address.user
    store = NativeStore(_connected(address, client, patience), address.root, user, patience)
    try:
        status = await store.once("", store.stat_now, "")
    except AwayError as error:
        raise RemoteError(str(error), hint=_HINT, temporary=True) from error
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise NotFoundError(f"{address.root or '/'} does not exist") from error
        late = error.errno == errno.ETIMEDOUT
        message = f"{address.authority}: {error.strerror}"
        raise RemoteError(message, hint=_HINT, temporary=late) from error
    if not status.directory:
        raise NotFoundError(f"{address.root} is no directory")
    yield store


def is_installed() -> bool:
    """Return whether hdfs-native can be used."""
    return importlib.util.find_spec("hdfs_native") is not None


def _connected(address: HdfsAddress, client: HadoopClient, patience: float) -> "Client":
    try:
        from hdfs_native import Client  # noqa: PLC0415  (an extra)
    except ImportError as error:
        hint = "pip install 'bootseer[hdfs]', or hdfs.transport: webhdfs"
        raise HostError("hdfs-native is not installed", hint=hint) from error
    if not address.secure:
        # The library takes it from nowhere else, whenever it connects.
        known = os.environ.setdefault(_USER, address.user)
        if known != address.user:
            raise UsageError(f"{_USER} is {known}, the address says {address.user}")
    site = client.site
    config = {name: site.get(name) for name in site.properties if name.startswith(_KEYS)}
    config |= {
        # One try of each NameNode: how long to go on is decided here.
        "dfs.client.failover.max.attempts": str(len(address.name_nodes)),
        "dfs.client.socket-timeout": str(max(1, int(patience * 500))),
    }
    return Client(f"hdfs://{address.authority}", config)


class NativeStore:
    """A `Store` in a directory of HDFS. Made by `open_native`."""

    def __init__(self, client: "Client", root: str, user: str, patience: float) -> None:
        """`user`: who we are there; its files are ours."""
        self._client = client
        self._root = root
        self._user = user
        self._patience = patience
        self._threads = Threads(_CALLS)
        self.traffic = Traffic()  # of no machine: it does not say whom it asks

    async def stat(self, path: str) -> Status:
        """See `Store.stat`."""
        return await self._do(path, self.stat_now, path)

    async def list(self, path: str) -> list[Status]:
        """See `Store.list`."""
        return list(await self._do(path, self._list, path))

    async def read(
        self,
        path: str,
        offset: int,
        length: int,
        *,
        of: Status | None = None,
        place: str | None = None,
    ) -> bytes:
        """See `Store.read`. `place` means nothing here."""
        del place
        reader = await self._do(path, self._meant, path, of)
        return await self._do(path, _read, reader, offset, length)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, offset: int, *, place: str | None = None
    ) -> AsyncIterator[Stream]:
        """See `Store.stream`."""
        del place
        yield Reads(self, path, offset)

    async def write(
        self,
        path: str,
        content: AsyncIterable[bytes] | bytes,
        *,
        mode: int = 0o644,
        parents: bool = True,
        place: str | None = None,
    ) -> None:
        """See `Store.write`. `place` means nothing here."""
        del place
        writer = await self._do(path, self._create, path, mode, parents)
        # No second attempt from here on: an error says nothing of what reached the DataNodes.
        if isinstance(content, bytes):
            if content:
                await self._surely(path, writer.write, content)
        else:
            async for piece in content:
                await self._surely(path, writer.write, piece)
                del piece  # see `views.Pieces`
        await self._surely(path, writer.close)

    async def places(self) -> tuple[str, ...]:
        """See `Store.places`: there is no choice."""
        return ()

    async def blocks(self, path: str) -> tuple[Block, ...]:
        """See `Store.blocks`: nothing is known."""
        del path
        return ()

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See `Store.rename`."""
        await self._do(old, self._rename, old, checked(new), replace)

    async def put_in_place(self, hidden: str, path: str, made: Status | None) -> Status:
        """See `Store.put_in_place`."""
        del made  # a file that was moved may be another one by its identity
        await self.rename(hidden, path, replace=True)
        return await self.stat(path)

    async def concat(self, path: str, others: Sequence[str]) -> None:
        """See `Store.concat`: the library cannot."""
        del others
        raise _error(errno.ENOTSUP, path)

    async def can_concat(self) -> bool:
        """See `Store.can_concat`: the library cannot."""
        return False

    async def make_directory(self, path: str, mode: int) -> None:
        """See `Store.make_directory`."""
        await self._do(path, self._make_directory, path, mode)

    async def make_directories(self, path: str) -> None:
        """See `Store.make_directories`."""
        await self._do(path, self._make_directories, path)

    async def remove(self, path: str) -> None:
        """See `Store.remove`."""
        await self._do(path, self._remove, path, False)

    async def remove_directory(self, path: str) -> None:
        """See `Store.remove_directory`."""
        await self._do(path, self._remove, path, True)

    async def remove_tree(self, path: str) -> None:
        """See `Store.remove_tree`."""
        await self._do(path, self._remove_tree, path)

    async def set_mode(self, path: str, mode: int) -> None:
        """See `Store.set_mode`."""
        await self._do(path, self._set_mode, path, mode)

    async def set_owner(self, path: str, uid: int | None, gid: int | None) -> None:
        """See `Store.set_owner`; EINVAL for numbers that have no name here."""
        user = None if uid is None else name_of_user(uid, self._user)
        group = None if gid is None else name_of_group(gid)
        if user or group:
            await self._do(path, self._set_owner, path, user, group)

    async def give(self, path: str, uid: int, gid: int) -> None:
        """See `Store.give`. Groups are the directory's in HDFS; only its superuser gives away."""
        del gid
        if uid != os.getuid():
            with contextlib.suppress(OSError):
                await self.set_owner(path, uid, None)

    async def set_modified(self, path: str, modified_ns: int) -> None:
        """See `Store.set_modified`: to the millisecond."""
        await self._do(path, self._set_modified, path, modified_ns)

    async def set_label(self, path: str, label: int) -> None:
        """See `Store.set_label`: labels are not kept."""

    async def xattrs(self, path: str) -> dict[str, bytes]:
        """See `Store.xattrs`: the library cannot."""
        raise _error(errno.ENOTSUP, path)

    async def set_xattr(self, path: str, name: str, value: bytes) -> None:
        """See `Store.set_xattr`: the library cannot."""
        del name, value
        raise _error(errno.ENOTSUP, path)

    async def remove_xattr(self, path: str, name: str) -> None:
        """See `Store.remove_xattr`: the library cannot."""
        del name
        raise _error(errno.ENOTSUP, path)

    async def space(self) -> Space:
        """See `Store.space`: what a quota of the directory leaves; without one, as if no end."""
        summary = await self._do("", self._summary)
        quota, used = summary.space_quota, summary.space_consumed
        if 0 < quota < _NO_LIMIT:
            return Space(quota, max(0, quota - used))
        return Space(_NO_LIMIT + used, _NO_LIMIT)

    # Calls, each in a thread

    def stat_now(self, path: str) -> Status:
        """Return what is at a path; to be called in a thread."""
        found = self._client.get_file_info(self._absolute(path))
        return self._status(found, path.rpartition("/")[2])

    def _list(self, path: str) -> Sequence[Status]:
        if not self.stat_now(path).directory:
            raise _error(errno.ENOTDIR, path)
        found = self._client.list_status(self._absolute(path))
        return [self._status(one, one.path.rpartition("/")[2]) for one in found]

    def _meant(self, path: str, of: Status | None) -> "FileReader":
        """Open a file, that which `of` describes: what is there before and after was opened."""
        if of is None:
            return self._client.read(self._absolute(path))
        try:
            before = self.stat_now(path)
            reader = self._client.read(self._absolute(path))
            after = self.stat_now(path)
        except FileNotFoundError:
            raise _error(errno.ESTALE, path) from None
        if not before.identity == after.identity == of.identity:
            raise _error(errno.ESTALE, path)
        return reader

    def _create(self, path: str, mode: int, parents: bool) -> "RawFileWriter":
        from hdfs_native import WriteOptions  # noqa: PLC0415  (an extra)

        options = WriteOptions(permission=mode, overwrite=False, create_parent=parents)
        # Not the library's `FileWriter`: whenever that is dropped it closes the file, waiting for
        # DataNodes in whichever thread, and makes half a file look like a whole one.
        return self._client.inner.create(self._absolute(path), options)

    def _rename(self, old: str, new: str, replace: bool) -> None:
        if old == new and replace:
            self.stat_now(old)
            return
        try:
            self._client.rename(self._absolute(old), self._absolute(new), overwrite=replace)
        except Exception as error:
            why = translated(error, old)
            if isinstance(why, OSError) and why.errno in (errno.EIO, errno.EEXIST):
                raise self._why_not(why, old, new, replace) from error
            raise

    def _why_not(self, error: OSError, old: str, new: str, replace: bool) -> OSError:
        """Return what rename(2) would say where HDFS says no more than that it does not."""
        try:
            source, target = self.stat_now(old), self.stat_now(new)
        except OSError:
            return error
        if not replace:
            return _error(errno.EEXIST, new)
        if target.directory and not source.directory:
            return _error(errno.EISDIR, new)
        if source.directory and not target.directory:
            return _error(errno.ENOTDIR, new)
        return _error(errno.ENOTEMPTY, new) if target.directory else error

    def _make_directory(self, path: str, mode: int) -> None:
        # HDFS would not mind if it exists, and would make it in a file's place.
        with contextlib.suppress(FileNotFoundError):
            self.stat_now(path)
            raise _error(errno.EEXIST, path)
        if not self.stat_now(path.rpartition("/")[0]).directory:
            raise _error(errno.ENOTDIR, path)
        self._client.mkdirs(self._absolute(path), mode, create_parent=False)

    def _make_directories(self, path: str) -> None:
        self._client.mkdirs(self._absolute(path), create_parent=True)

    def _remove(self, path: str, directory: bool) -> None:
        if self.stat_now(path).directory is not directory:
            raise _error(errno.ENOTDIR if directory else errno.EISDIR, path)
        if not self._client.delete(self._absolute(path), recursive=False):
            raise _error(errno.ENOENT, path)

    def _remove_tree(self, path: str) -> None:
        self._client.delete(self._absolute(path), recursive=True)

    def _set_mode(self, path: str, mode: int) -> None:
        self._client.set_permission(self._absolute(path), mode)

    def _set_owner(self, path: str, user: str | None, group: str | None) -> None:
        self._client.set_owner(self._absolute(path), user, group)

    def _set_modified(self, path: str, modified_ns: int) -> None:
        found = self._client.get_file_info(self._absolute(path))
        self._client.set_times(self._absolute(path), modified_ns // 1_000_000, found.access_time)

    def _summary(self) -> "ContentSummary":
        return self._client.get_content_summary(self._absolute(""))

    # Inside

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root or "/"

    def _status(self, found: "FileStatus", name: str) -> Status:
        size = 0 if found.isdir else found.length
        identity = f"{found.modification_time}:{size}:{found.isdir}"
        uid, gid = uid_of(found.owner, self._user), gid_of(found.group)
        modified_ns = found.modification_time * 1_000_000
        return Status(name, found.isdir, size, found.permission, uid, gid, modified_ns, identity)

    async def _do(self, path: str, work: Callable[..., T], *arguments: Any) -> T:
        """Do a call on a path, again while no NameNode can be used, for `patience` seconds."""
        now = asyncio.get_running_loop().time
        end = now() + self._patience
        while True:
            try:
                return await self.once(path, work, *arguments)
            except AwayError as error:
                if now() + _PAUSE_S > end:
                    raise OSError(errno.EIO, str(error), path) from error
            await asyncio.sleep(_PAUSE_S)

    async def _surely(self, path: str, work: Callable[..., T], *arguments: Any) -> T:
        """Do a call on a path that must not be tried again."""
        try:
            return await self.once(path, work, *arguments)
        except AwayError as error:
            raise OSError(errno.EIO, str(error), path) from error

    async def once(self, path: str, work: Callable[..., T], *arguments: Any) -> T:
        """Do a call on a path once. Raises `OSError`; `AwayError` if no NameNode can be used."""
        checked(path)
        try:
            return await self._threads.run(self._patience, work, *arguments)
        except Exception as error:
            raise translated(error, path) from error


def _read(reader: "FileReader", offset: int, length: int) -> bytes:
    # Past the end the library panics.
    length = min(length, len(reader) - offset)
    if length <= 0:
        return b""
    pieces = range(offset, offset + length, _PIECE)
    end = offset + length
    return b"".join(reader.read_range(at, min(_PIECE, end - at)) for at in pieces)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
