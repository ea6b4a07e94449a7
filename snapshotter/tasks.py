"""Tasks that nobody waits for: contained, so that a bug in one does not end the others.

Race-free: the event loop's thread only.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """Starts tasks in a task group and cancels those that are left."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task. What it raises is logged."""
        task = self._group.create_task(contained(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def cancel(self) -> None:
        """Cancel all tasks that are left."""
        for task in self._running:
            task.cancel()


async def contained(work: Coroutine[Any, Any, None]) -> None:
    """Run a task whose bugs must not end the others."""
    try:
        await work
    except Exception:
        log.exception("task.bug")
