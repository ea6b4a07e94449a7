"""What the daemon tells of itself: the status document, and metrics as text.

Race-free: it keeps no state; the numbers are read in one step of the event loop's thread.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from bootseer.metrics.exposition import render
from snapshotter.metrics.collect import Counted, collect
from snapshotter.metrics.document import status_document
from snapshotter.metrics.families import families


class NodeReport:
    """Answers the daemon's own interface."""

    def __init__(
        self,
        parts: Counted,
        used: Callable[[], Awaitable[set[str]]],
    ) -> None:
        """`used` returns the mounts that snapshots name."""
        self._parts = parts
        self._used = used

    async def status(self) -> dict[str, Any]:
        """Return the status document."""
        mounted = sorted(await self._used())
        numbers = collect(self._parts, mounted)
        parts = self._parts
        layers, hot = parts.files.describe(), parts.starts.describe()
        return status_document(numbers, mounted, layers, hot, parts.dependencies.describe())

    async def metrics(self) -> str:
        """Return all metrics as Prometheus reads them."""
        return render(families(collect(self._parts, await self._used())))
