import asyncio
import socket

import pyfuse3
import pyfuse3.asyncio
import pytest

from bootseer.fuse_ending import stop_answering


async def test_all_readers_end_though_one_was_woken_just_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The readers are pyfuse3's own; what is left out is the kernel."""
    ours, theirs = socket.socketpair()
    descriptor = pyfuse3.FileHandleT(ours.fileno())
    ended = False

    def terminate() -> None:
        nonlocal ended
        ended = True
        pyfuse3.asyncio.notify_closing(descriptor)

    async def reader() -> None:
        while not ended:
            await pyfuse3.asyncio.wait_readable(descriptor)

    async def readers() -> None:
        done = await asyncio.gather(reader(), reader(), return_exceptions=True)
        assert all(
            one is None or isinstance(one, pyfuse3.asyncio.ClosedResourceError) for one in done
        )

    monkeypatch.setattr(pyfuse3, "terminate", terminate)
    serving = asyncio.create_task(readers())
    await asyncio.sleep(0.01)
    woken = next(iter(pyfuse3.asyncio._read_futures[descriptor]))
    woken.set_result(None)
    await stop_answering(serving, seconds=10.0)
    assert serving.done()
    await serving
    ours.close()
    theirs.close()
