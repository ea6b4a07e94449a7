"""Volumes for programs that use fsspec: `bootseer-hdfs://` (pandas, torch's checkpoints, datasets).

Either with the store as an option,

    fsspec.open("bootseer-hdfs://run/model.pt", store="webhdfs://namenode:9870/volume")

or with all of it in the address, two slashes where the volume begins:

    fsspec.open("bootseer-hdfs://namenode:9870/volume//run/model.pt")

There a host with a port is a NameNode's HTTP address, one without is a nameservice. Directories
above a new file are made. A file appears whole, when it is closed; transactions are refused.

Concurrency: everything runs in fsspec's event loop; the volume is opened there at the first call.
"""

import asyncio
import contextlib
import errno
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from fsspec.asyn import AsyncFileSystem, sync
from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from bootseer.together import together
from fuse_hdfs.descriptorless import DescriptorlessFile
from fuse_hdfs.files.reading import reader_of
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.version import Entry
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.stored_file import StoredFile, buffered, open_in
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.transfer.copy import copy_file
from fuse_hdfs.transfer.ends import About, Target
from fuse_hdfs.transfer.local import LocalFiles
from fuse_hdfs.transfer.memory import MemorySource
from fuse_hdfs.transfer.stored import StoredFiles

PROTOCOL: Final = "bootseer-hdfs"
_AT_ONCE: Final = 16
_DIRECTORY_MODE: Final = 0o755


class BootseerFileSystem(AsyncFileSystem):  # type: ignore[misc]  # it has no types
    """The files of one volume."""

    protocol = PROTOCOL
    root_marker = ""

    def __init__(self, store: str, settings: Settings | None = None, **options: Any) -> None:
        """`store`: address of the volume; `settings`: how files are written and read."""
        super().__init__(store=store, settings=settings, **options)
        self._store = store
        self._settings = settings or Settings()
        self._stack: contextlib.AsyncExitStack | None = None
        self._opened: Volume | None = None
        self._opening: asyncio.Lock | None = None

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path)
        prefix = f"{PROTOCOL}://"
        if text.startswith(prefix):
            rest = text[len(prefix) :]
            volume, two, below = rest.partition("//")
            text = below if two and volume else rest
        return text.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        rest = path.removeprefix(f"{PROTOCOL}://")
        volume, two, _ = rest.partition("//")
        if rest == path or not two or not volume:
            return {}
        host = volume.partition("/")[0].rpartition("@")[2]
        scheme = "webhdfs" if ":" in host else "hdfs"
        return {"store": f"{scheme}://{volume}"}

    async def volume(self) -> Volume:
        """Return the volume, opened first where it is not open yet."""
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._opened is None:
                stack = contextlib.AsyncExitStack()
                volume = Volume(
                    await stack.enter_async_context(open_store(self._store)), self._settings
                )
                stack.push_async_callback(volume.close)
                self._stack, self._opened = stack, volume
                if not self.asynchronous:
                    weakref.finalize(self, _close, self.loop, stack)
        return self._opened

    # What there is

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        return _details(path, await (await self.volume()).stat(path))

    async def _ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        volume = await self.volume()
        entry = await volume.stat(path)
        if not entry.status.directory:
            found = [_details(path, entry)]
        else:
            found = [_details(_join(path, one.status.name), one) for one in await volume.list(path)]
        found.sort(key=lambda one: str(one["name"]))
        return found if detail else [one["name"] for one in found]

    def modified(self, path: str) -> Any:
        """Return when a file was changed."""
        return self.info(path)["mtime"]

    # Contents

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        return (await self._read_ranges(path, [(start, end)]))[0]

    async def _cat_ranges(
        self,
        paths: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[bytes | BaseException]:
        if not isinstance(starts, list):
            starts = [starts] * len(paths)
        if not isinstance(ends, list):
            ends = [ends] * len(paths)
        found: list[bytes | BaseException] = [b""] * len(paths)
        wanted: dict[str, list[int]] = {}
        for number, path in enumerate(paths):
            wanted.setdefault(self._strip_protocol(path), []).append(number)

        async def read(path: str) -> None:
            numbers = wanted[path]
            try:
                ranges = [(starts[number], ends[number]) for number in numbers]
                contents: Sequence[bytes | BaseException] = await self._read_ranges(path, ranges)
            except OSError as error:
                if on_error == "raise":
                    raise
                contents = [error] * len(numbers)
            for number, content in zip(numbers, contents, strict=True):
                found[number] = content

        await together(read, list(wanted), _AT_ONCE)
        return found

    async def _read_ranges(
        self, path: str, ranges: Sequence[tuple[int | None, int | None]]
    ) -> list[bytes]:
        path = self._strip_protocol(path)
        volume = await self.volume()
        version = await volume.load(path)
        reader = reader_of(volume, version, lambda: path)

        async def read(wanted: tuple[int | None, int | None]) -> bytes:
            start, end, _ = slice(*wanted).indices(version.size)
            return bytes(await reader.read(start, max(0, end - start)))

        return await together(read, ranges, _AT_ONCE)

    async def _pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", **options: Any
    ) -> None:
        source = MemorySource(bytes(value))
        await copy_file(source, await self._target(path, source.about, mode), _nobody)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        mode: str = "overwrite",
        callback: Callback = DEFAULT_CALLBACK,
        **options: Any,
    ) -> None:
        source = await LocalFiles().source(str(Path(lpath).absolute()))
        if source.about.directory:
            await self._makedirs(rpath, exist_ok=True)
            return
        callback.set_size(source.about.size)
        target = await self._target(rpath, source.about, mode)
        await copy_file(source, target, callback.relative_update)

    async def _get_file(
        self, rpath: str, lpath: str, callback: Callback = DEFAULT_CALLBACK, **options: Any
    ) -> None:
        path = self._strip_protocol(rpath)
        entry = await (await self.volume()).stat(path)
        if entry.status.directory:
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        source = await StoredFiles(await self.volume()).source(path)
        callback.set_size(source.about.size)
        target = LocalFiles().target(str(Path(lpath).absolute()), source.about)
        Path(lpath).absolute().parent.mkdir(parents=True, exist_ok=True)
        await copy_file(source, target, callback.relative_update)

    async def _cp_file(self, path1: str, path2: str, **options: Any) -> None:
        volume = await self.volume()
        path1 = self._strip_protocol(path1)
        if (await volume.stat(path1)).status.directory:
            await self._makedirs(path2, exist_ok=True)
            return
        source = await StoredFiles(volume).source(path1)
        await copy_file(source, await self._target(path2, source.about, "overwrite"), _nobody)

    async def _target(self, path: str, like: About, mode: str) -> Target:
        """Return a file to be written; directories above it are there."""
        path = self._strip_protocol(path)
        volume = await self.volume()
        files = StoredFiles(volume)
        if mode == "create" and await files.about(path) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        await files.make_directory(path.rpartition("/")[0], _DIRECTORY_MODE)
        return files.target(path, like)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> BinaryIO:
        if not autocommit:
            raise ValueError("bootseer-hdfs has no transactions: a file appears when it is closed")
        opened, stack = sync(self.loop, self._open_file, path, mode)
        name = f"{PROTOCOL}://{path}"

        def closing() -> None:
            sync(self.loop, stack.aclose)

        file = buffered(StoredFile(name, opened, mode, self.loop, closing))
        return cast("BinaryIO", DescriptorlessFile(file))

    async def _open_file(self, path: str, mode: str) -> tuple[Any, contextlib.AsyncExitStack]:
        path = self._strip_protocol(path)
        volume = await self.volume()
        if "r" not in mode:
            above = path.rpartition("/")[0]
            await StoredFiles(volume).make_directory(above, _DIRECTORY_MODE)
        async with contextlib.AsyncExitStack() as stack:
            opened = await open_in(volume, path, mode, stack)
            return opened, stack.pop_all()
        raise AssertionError("an exit stack swallowed an error")

    # Names

    async def _mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        path = self._strip_protocol(path)
        if create_parents and "/" in path:
            await self._makedirs(path.rpartition("/")[0], exist_ok=True)
        await (await self.volume()).make_directory(path, _DIRECTORY_MODE)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        files = StoredFiles(await self.volume())
        about = await files.about(path)
        if about is not None and not (exist_ok and about.directory):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        await files.make_directory(path, _DIRECTORY_MODE)

    async def _rm_file(self, path: str, **options: Any) -> None:
        path = self._strip_protocol(path)
        volume = await self.volume()
        version = await volume.load(path)
        await volume.remove(path)
        if version.manifest is not None:
            await volume.discard(version.manifest.segments)

    async def _rmdir(self, path: str) -> None:
        await (await self.volume()).store.remove_directory(self._strip_protocol(path))

    async def _rm(
        self,
        path: Any,
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        expanded = await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)
        volume = await self.volume()
        entries = [(one, await volume.stat(one)) for one in expanded if one]
        files = [one for one, entry in entries if not entry.status.directory]
        directories = [one for one, entry in entries if entry.status.directory]
        if directories and not recursive:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), directories[0])
        await together(self._rm_file, files, _AT_ONCE)
        for directory in sorted(directories, key=lambda one: -one.count("/")):
            await self._rmdir(directory)

    def mv(
        self,
        path1: str,
        path2: str,
        recursive: bool = False,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Move a file or directory, in one step."""
        sync(self.loop, self._mv, path1, path2)

    async def _mv(self, path1: str, path2: str) -> None:
        volume = await self.volume()
        old, new = self._strip_protocol(path1), self._strip_protocol(path2)
        about = await StoredFiles(volume).about(new)
        if about is not None and about.directory:
            new = _join(new, old.rpartition("/")[2])
            about = await StoredFiles(volume).about(new)
        replaced = None
        if about is not None and not about.directory and old != new:
            replaced = await volume.load(new)
        await StoredFiles(volume).make_directory(new.rpartition("/")[0], _DIRECTORY_MODE)
        await volume.store.rename(old, new, replace=True)
        if replaced is not None and replaced.manifest is not None:
            await volume.discard(replaced.manifest.segments)


def _details(path: str, entry: Entry) -> dict[str, Any]:
    status = entry.status
    return {
        "name": path,
        "size": entry.size,
        "type": "directory" if status.directory else "file",
        "mode": status.mode,
        "uid": status.uid,
        "gid": status.gid,
        "mtime": status.modified_ns / 1e9,
        "identity": status.identity,
        "striped": entry.striped,
    }


def _close(loop: asyncio.AbstractEventLoop, stack: contextlib.AsyncExitStack) -> None:
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop)


def _nobody(_: int) -> None:
    """Be told how many bytes are done."""


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
