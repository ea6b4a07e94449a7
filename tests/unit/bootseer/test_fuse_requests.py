"""The workers are as pyfuse3's are; what is left out is the kernel."""

import asyncio
import os
import socket
from collections.abc import Iterator

import pyfuse3
import pyfuse3.asyncio
import pytest

from bootseer.fuse_requests import Waiting, stop_answering


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class Workers:
    """Take requests, a byte each, until they are told to end."""

    def __init__(self, waiting: Waiting, ours: socket.socket) -> None:
        self.waiting = waiting
        self.ours = ours
        self.lock = asyncio.Lock()
        self.ended = False
        self.taken = 0
        self.answering = asyncio.Event()
        self.answering.set()

    def terminate(self) -> None:
        self.ended = True
        self.waiting.notify_closing(self.ours.fileno())

    async def work(self) -> None:
        while not self.ended:
            async with self.lock:
                if self.ended:
                    return
                try:
                    await self.waiting.wait_readable(self.ours.fileno())
                except pyfuse3.asyncio.ClosedResourceError:
                    return
            self.ours.recv(1, socket.MSG_DONTWAIT)
            self.taken += 1
            await self.answering.wait()

    async def run(self, number: int) -> None:
        await asyncio.gather(*(self.work() for _ in range(number)))


Pair = tuple[socket.socket, socket.socket]


async def test_all_workers_end_though_one_was_woken_just_then(
    connection: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = connection
    workers = Workers(Waiting(), ours)
    monkeypatch.setattr(pyfuse3, "terminate", workers.terminate)
    serving = asyncio.create_task(workers.run(3))
    await asyncio.sleep(0.01)
    theirs.send(b"1")
    await asyncio.sleep(0)
    await stop_answering(serving, seconds=10.0)
    assert serving.done()
    await serving
    assert workers.taken <= 1


async def test_who_is_told_to_end_before_he_waits_ends(connection: Pair) -> None:
    ours, _ = connection
    waiting = Waiting()
    waiting.notify_closing(ours.fileno())
    with pytest.raises(pyfuse3.asyncio.ClosedResourceError):
        await waiting.wait_readable(ours.fileno())


async def test_every_request_is_taken_once_whoever_waits(connection: Pair) -> None:
    ours, theirs = connection
    workers = Workers(Waiting(), ours)
    serving = asyncio.create_task(workers.run(3))
    for count in (1, 30, 0, 7):
        theirs.send(b"r" * count)
        await asyncio.sleep(0.01)
    while workers.taken < 38:
        await asyncio.sleep(0.001)
    workers.terminate()
    await serving
    assert workers.taken == 38


async def test_requests_are_waited_for_again_after_all_workers_were_busy(connection: Pair) -> None:
    ours, theirs = connection
    workers = Workers(Waiting(), ours)
    serving = asyncio.create_task(workers.run(2))
    await asyncio.sleep(0.01)
    workers.answering.clear()
    theirs.send(b"123")
    while workers.taken < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    assert workers.taken == 2, "nobody is left to take the third"
    workers.answering.set()
    while workers.taken < 3:
        await asyncio.sleep(0.001)
    workers.terminate()
    await serving


async def test_another_file_may_take_its_place_with_the_first_request(connection: Pair) -> None:
    ours, theirs = connection
    waiting = Waiting()
    first = asyncio.create_task(waiting.wait_readable(ours.fileno()))
    await asyncio.sleep(0.01)
    theirs.send(b"1")
    await first
    device, kernel = socket.socketpair()
    os.dup2(device.fileno(), ours.fileno())
    kernel.send(b"2")
    async with asyncio.timeout(10.0):
        await waiting.wait_readable(ours.fileno())
    assert ours.recv(1) == b"2"
    more = asyncio.create_task(waiting.wait_readable(ours.fileno()))
    await asyncio.sleep(0.01)
    kernel.send(b"3")
    async with asyncio.timeout(10.0):
        await more
    device.close()
    kernel.close()
