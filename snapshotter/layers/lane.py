"""Work done behind the caller's back, in order, never more than a few jobs behind.

A lane is one thread. Whoever submits waits when the backlog is full, and is told of an error in an
earlier job then, or at `drain`. After an error nothing more runs. The thread ends with `close`, or
when its lane is forgotten.

Race-free: jobs of one lane run one after another, and only they touch `_failed`; only the submitter
touches the deque.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Lane:
    """One thread and its backlog. Submit from one thread at a time."""

    def __init__(self, name: str, backlog: int) -> None:
        """`backlog`: jobs that may wait or run at once."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._backlog = backlog
        self._pending: deque[Future[object]] = deque()
        self._failed = False

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Queue a job. Raises what an earlier job raised."""
        while self._pending and (len(self._pending) >= self._backlog or self._pending[0].done()):
            self._reap()
        future = self._executor.submit(self._unless_failed, partial(work, *args, **kwargs))
        self._pending.append(future)  # type: ignore[arg-type]
        return future

    def _unless_failed(self, work: Callable[[], R]) -> R:
        if self._failed:
            raise RuntimeError("an earlier job of this lane failed")
        try:
            return work()
        except BaseException:
            self._failed = True
            raise

    def drain(self) -> None:
        """Wait until all is done. Raises what a job raised."""
        while self._pending:
            self._reap()

    def close(self) -> None:
        """Forget what has not begun, wait for what has, end the thread."""
        self._pending.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _reap(self) -> None:
        try:
            self._pending.popleft().result()
        except BaseException:
            self.close()
            raise
