"""The machine's own clock."""

import asyncio
import time


class MonotonicClock:
    """A `Clock`: seconds since some time in the past, never set back."""

    def now(self) -> float:
        """Return the seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
