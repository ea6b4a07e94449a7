"""Work shared out to forked processes: each takes the next piece when it is done with the last.

No shared state but one: a file of numbers whose read position all processes share. Who reads the
next holds a lock on the file, which belongs to a process and goes with it: for a file in memory the
kernel itself does not guard the position. So every number is read once. Whoever fails moves the
position to the end, and the others find nothing more to do.

Only to be called where no other thread runs: a fork takes along the locks that others hold.
"""

import contextlib
import fcntl
import os
import select
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Generic, TypeVar

from bootseer.errors import BootseerError, HostError

A = TypeVar("A")
R = TypeVar("R")

_NUMBER: Final = struct.Struct("<I")
MOST_WORKERS: Final = 8
_NEWS_S: Final = 0.1


def worker_count() -> int:
    """Return how many processes are worth it on this machine."""
    return max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS))


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[R]):
    """What one process did."""

    results: dict[int, R]
    error: BaseException | None = None


def shared_out(
    start: Callable[[], AbstractContextManager[Callable[[A], R]]],
    pieces: Sequence[A],
    workers: int,
    news: Callable[[int], None] | None = None,
) -> list[R]:
    """Return what the work gives for each piece, in order.

    `start` is entered once in each process and gives what does a piece. `news` hears now and then
    how many pieces were begun.

    Raises:
        BootseerError, OSError: what the first process raised that failed. Other exceptions are bugs
        and come back as they were.
        HostError: a process was killed.
    """
    if workers <= 1 or len(pieces) <= 1:
        return _alone(start, pieces, news)
    numbers = os.memfd_create("pieces", os.MFD_CLOEXEC)
    try:
        os.write(numbers, b"".join(_NUMBER.pack(number) for number in range(len(pieces))))
        os.lseek(numbers, 0, os.SEEK_SET)
        children = [_fork(start, pieces, numbers) for _ in range(min(workers, len(pieces)))]
        if news is not None:
            _tell(numbers, [reader for _, reader in children], news)
        outcomes: list[_Outcome[R]] = [_collect(*child) for child in children]
    finally:
        os.close(numbers)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    results = {number: one for outcome in outcomes for number, one in outcome.results.items()}
    return [results[number] for number in range(len(pieces))]


def ignore(_more: int) -> None:
    """Hear of progress that nobody sees."""


def by_size(sizes: Sequence[int], more: Callable[[int], None]) -> Callable[[int], None]:
    """Return what hears of pieces for `more`, which hears what they add to a size."""
    ends = list(accumulate(sizes, initial=0))
    told = 0

    def news(begun: int) -> None:
        nonlocal told
        more(ends[begun] - told)
        told = ends[begun]

    return news


def _alone(
    start: Callable[[], AbstractContextManager[Callable[[A], R]]],
    pieces: Sequence[A],
    news: Callable[[int], None] | None,
) -> list[R]:
    found = []
    with start() as work:
        for number, piece in enumerate(pieces):
            found.append(work(piece))
            if news is not None:
                news(number + 1)
    return found


def _tell(numbers: int, readers: list[int], news: Callable[[int], None]) -> None:
    """Tell how many pieces were begun, until a process is done with all that it found.

    No thread does this: the next fork would take its locks along.
    """
    while not select.select(readers, [], [], _NEWS_S)[0]:
        news(os.lseek(numbers, 0, os.SEEK_CUR) // _NUMBER.size)
    news(os.lseek(numbers, 0, os.SEEK_CUR) // _NUMBER.size)


def _fork(
    start: Callable[[], AbstractContextManager[Callable[[A], R]]],
    pieces: Sequence[A],
    numbers: int,
) -> tuple[int, int]:
    """Start a process; return its number and where it writes its outcome."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        os.close(reader)
        import pickle  # noqa: PLC0415 (who works alone needs none)

        outcome = _work(start, pieces, numbers)
        with os.fdopen(writer, "wb") as file:
            pickle.dump(outcome, file)
    finally:
        # Nothing of the parent's clean-up may run here, whatever happened.
        os._exit(0)


def _work(
    start: Callable[[], AbstractContextManager[Callable[[A], R]]],
    pieces: Sequence[A],
    numbers: int,
) -> _Outcome[R]:
    results: dict[int, R] = {}
    try:
        with start() as work:
            while (number := _next(numbers)) is not None:
                results[number] = work(pieces[number])
    except (BootseerError, OSError) as error:
        os.lseek(numbers, 0, os.SEEK_END)
        return _Outcome({}, error)
    except BaseException as error:  # noqa: BLE001 (raised again in the parent)
        os.lseek(numbers, 0, os.SEEK_END)
        return _Outcome({}, RuntimeError(f"{type(error).__name__}: {error}"))
    return _Outcome(results)


def _next(numbers: int) -> int | None:
    """Return the next number, which nobody else gets; None if there is none."""
    fcntl.lockf(numbers, fcntl.LOCK_EX)
    try:
        data = os.read(numbers, _NUMBER.size)
    finally:
        fcntl.lockf(numbers, fcntl.LOCK_UN)
    return int(_NUMBER.unpack(data)[0]) if data else None


def _collect(pid: int, reader: int) -> _Outcome[R]:
    import pickle  # noqa: PLC0415 (likewise)

    with os.fdopen(reader, "rb") as file:
        data = file.read()
    status = os.waitpid(pid, 0)[1]
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        outcome: _Outcome[R] = pickle.loads(data)  # noqa: S301 (from our own child)
        return outcome
    return _Outcome({}, HostError(f"a worker process died: {_died(status)}"))


def _died(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"
