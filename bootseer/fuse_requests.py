"""How pyfuse3 waits for the kernel's requests under asyncio, and how it ends.

pyfuse3's own way adds the connection to the event loop for every request and takes it out again:
two system calls, in front of a read that may be answered in little more. Here it stays there while
somebody waits. And pyfuse3 trips over a worker that a request has just woken when it ends; here it
does not.

Race-free: the event loop's thread only. pyfuse3 has one session a process, and lets one of its
workers wait at a time, who takes a request before any other may wait.
"""

import asyncio
import select

import pyfuse3
import pyfuse3.asyncio


class Waiting:
    """Waits until the connection has a request; what pyfuse3 asks of an event loop."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._waiter: asyncio.Future[None] | None = None
        self._watched = False
        self._closing = False
        self._begun = False
        """The first request, INIT, was waited for."""

    async def wait_readable(self, fd: int) -> None:
        """Wait until there is a request; `ClosedResourceError` once it is to end."""
        if self._closing:
            raise pyfuse3.asyncio.ClosedResourceError
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if not self._watched:
            loop.add_reader(fd, self._readable, fd)
            self._watched = True
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _readable(self, fd: int) -> None:
        if self._waiter is None:  # all workers are busy: the loop would say this again and again
            self._unwatch(fd)
        elif not self._waiter.done() and _has_request(fd):
            # The loop may have looked before a worker took what was there, who then waits anew.
            self._waiter.set_result(None)
            if not self._begun:  # another file may be put in the place of this one with INIT
                self._begun = True
                self._unwatch(fd)

    def _unwatch(self, fd: int) -> None:
        if self._watched:
            asyncio.get_running_loop().remove_reader(fd)
            self._watched = False

    def notify_closing(self, fd: int) -> None:
        """Have who waits, and who comes later, end."""
        self._closing = True
        self._unwatch(fd)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(pyfuse3.asyncio.ClosedResourceError())


def _has_request(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def use_asyncio() -> None:
    """Have pyfuse3 work under asyncio, and wait so. Once for each session, before `init`."""
    pyfuse3.asyncio.enable()
    waiting = Waiting()
    pyfuse3.asyncio.wait_readable = waiting.wait_readable
    pyfuse3.asyncio.notify_closing = waiting.notify_closing


async def stop_answering(serving: "asyncio.Task[None]", seconds: float) -> None:
    """End `pyfuse3.main()`, which runs in `serving`; wait at most `seconds` until it has ended."""
    pyfuse3.terminate()
    await asyncio.wait([serving], timeout=seconds)
