"""What this process takes of its machine."""

import os
import resource
import time
from pathlib import Path
from typing import Final

from snapshotter.metrics.numbers import ProcessNumbers

STARTED: Final = time.time()
"""Seconds since the epoch."""


def process_numbers() -> ProcessNumbers:
    """Return what the process has taken so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return ProcessNumbers(STARTED, used.ru_utime + used.ru_stime, _resident())


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
