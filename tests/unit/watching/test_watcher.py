"""When the kernel is asked to tell of reads, and what becomes of what it tells."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from bootseer.errors import HostError
from snapshotter.blocks.names import BlockName, LayerName, Role, Variant
from snapshotter.watching.watcher import Watcher

NAME = BlockName(LayerName("0123456789ab"), Variant(Role.RECORD, 5))


def lines(*offsets: int) -> bytes:
    said = (
        f" sh-1 [000] ..... 7.500000: mm_filemap_get_pages: dev=0:9 ino={NAME.inode:x} "
        f"ofs={offset}-{offset + 4095}\n"
        for offset in offsets
    )
    return "".join(said).encode()


@dataclass
class Kernel:
    """A kernel whose traces say what a test has it say."""

    refuses: bool = False
    gone: bool = False
    """Whoever reads a trace gets an error."""
    says: list[bytes] = field(default_factory=list)
    open_now: int = 0
    opened: int = 0
    swept: int = 0

    def open(self) -> "Kernel":
        if self.refuses:
            raise HostError("no tracefs")
        assert self.open_now == 0
        self.open_now += 1
        self.opened += 1
        return self

    def read(self) -> bytes:
        assert self.open_now == 1
        if self.gone:
            raise OSError(19, "gone")
        return self.says.pop(0) if self.says else b""

    def close(self) -> None:
        self.open_now -= 1

    def sweep(self) -> None:
        assert self.open_now == 0
        self.swept += 1


@dataclass
class Listeners:
    """Recordings."""

    watching: int = 0
    touches: list[tuple[BlockName, int, int, float]] = field(default_factory=list)

    def touch(self, name: BlockName, offset: int, length: int, at: float) -> None:
        self.touches.append((name, offset, length, at))

    def unwatch(self) -> None:
        self.watching = 0


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def listeners() -> Listeners:
    return Listeners()


@pytest.fixture
def watcher(kernel: Kernel, listeners: Listeners) -> Watcher:
    return Watcher(kernel, listeners)


@asynccontextmanager
async def running(watcher: Watcher) -> AsyncIterator[None]:
    task = asyncio.create_task(watcher.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_touches_are_told_with_their_time_while_a_recording_goes_on(
    kernel: Kernel, listeners: Listeners, watcher: Watcher
) -> None:
    async with running(watcher):
        assert await watcher.begin()
        listeners.watching = 1
        kernel.says += [lines(0, 8192), lines(4096)]
        await until(lambda: len(listeners.touches) == 3)
    assert listeners.touches == [(NAME, at, 4096, 7.5) for at in (0, 8192, 4096)]


async def test_one_trace_serves_all_recordings_and_ends_with_the_last(
    kernel: Kernel, listeners: Listeners, watcher: Watcher
) -> None:
    async with running(watcher):
        for _ in range(3):
            assert await watcher.begin()
            listeners.watching += 1
        listeners.watching = 1
        await asyncio.sleep(0.3)
        assert (kernel.open_now, kernel.opened) == (1, 1)
        listeners.watching = 0
        await until(lambda: kernel.open_now == 0)
        assert await watcher.begin()
        assert kernel.opened == 2


async def test_what_was_read_before_a_recording_ends_is_told_when_asked_for(
    kernel: Kernel, listeners: Listeners, watcher: Watcher
) -> None:
    assert await watcher.begin()
    kernel.says += [lines(4096), lines(0)]
    await watcher.catch_up()
    assert [offset for _, offset, _, _ in listeners.touches] == [4096, 0]


async def test_a_kernel_that_does_not_tell_is_no_error(
    kernel: Kernel, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.refuses = True
    assert not await watcher.begin()
    await watcher.catch_up()
    await watcher.close()
    assert [record.message for record in caplog.records] == ["hot.not_watched"]


async def test_who_does_not_want_it_is_not_told(listeners: Listeners) -> None:
    watcher = Watcher(None, listeners)
    assert not await watcher.begin()
    async with running(watcher):
        await watcher.catch_up()
    await watcher.close()


async def test_a_server_goes_on_with_what_an_earlier_one_had_not_heard(
    kernel: Kernel, listeners: Listeners, watcher: Watcher
) -> None:
    listeners.watching = 1
    kernel.says.append(lines(0))
    async with running(watcher):
        await until(lambda: listeners.touches)
    assert kernel.swept == 0


async def test_recordings_end_whose_touches_nobody_tells_of_any_more(
    kernel: Kernel, listeners: Listeners, watcher: Watcher
) -> None:
    kernel.refuses, listeners.watching = True, 2
    async with running(watcher):
        await until(lambda: listeners.watching == 0)


async def test_recordings_end_when_the_trace_is_taken_away(
    kernel: Kernel, listeners: Listeners, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(watcher):
        assert await watcher.begin()
        listeners.watching = 1
        kernel.gone = True
        await until(lambda: kernel.open_now == 0)
    assert listeners.watching == 0
    assert [record.message for record in caplog.records] == ["hot.watch_lost"]


async def test_what_a_killed_server_left_is_removed_when_nothing_is_recorded(
    kernel: Kernel, watcher: Watcher
) -> None:
    async with running(watcher):
        await until(lambda: kernel.swept)
    assert kernel.opened == 0


async def test_what_came_too_fast_is_said(
    kernel: Kernel, listeners: Listeners, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    assert await watcher.begin()
    kernel.says.append(b"CPU:1 [LOST 300 EVENTS]\n" + lines(0))
    await watcher.catch_up()
    assert len(listeners.touches) == 1
    assert [record.message for record in caplog.records] == ["hot.touches_lost"]


async def test_a_server_that_ends_leaves_nothing(
    kernel: Kernel, listeners: Listeners, watcher: Watcher
) -> None:
    assert await watcher.begin()
    listeners.watching = 1
    kernel.says.append(lines(0))
    await watcher.close()
    assert (len(listeners.touches), kernel.open_now, kernel.swept) == (1, 0, 1)
