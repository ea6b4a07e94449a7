"""A test that stands still says where, and fails: nobody is there to look when it happens.

After a time that no test needs, what every task waits for is written down, then all are cancelled:
so the test fails with the traceback of its own wait. One without an event loop is interrupted.

Race-free: a timer's signal, handled by the main thread, which runs the tests.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator

import pytest

LONGEST_S = 420.0
"""On a machine of half the speed the longest test takes a third of this."""
_AGAIN_S = 30.0
_DEPTH = 40
_KINDS = (("cr_frame", "cr_await"), ("ag_frame", "ag_await"), ("gi_frame", "gi_yieldfrom"))


class StuckError(Exception):
    """A test took longer than any may."""


def waits(task: asyncio.Task[object]) -> Iterator[str]:
    """Yield the calls that a task is in, the outermost first; last what it waits for."""
    found: object = task.get_coro()
    for _ in range(_DEPTH):
        for frame_of, inner in _KINDS:
            if hasattr(found, inner):
                if frame := getattr(found, frame_of):
                    yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
                found = getattr(found, inner)
                break
        else:
            break
    yield repr(found)


def give_up(*_: object) -> None:
    """Handle the signal."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise StuckError(f"not done after {LONGEST_S:g} s") from None
    for task in asyncio.all_tasks(loop):
        sys.stderr.write("\n    ".join([f"stuck: {task.get_name()}", *waits(task)]) + "\n")
        loop.call_soon_threadsafe(task.cancel)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch over the test, what comes before it and what comes after it."""
    del item
    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S, _AGAIN_S)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
