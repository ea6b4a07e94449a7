"""What this process takes of its machine, as numbers and as metrics."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.metrics.exposition import Family, Sample, counter, gauge

STARTED: Final = time.time()
"""Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ProcessNumbers:
    """A daemon's process."""

    started: float
    """Seconds since the epoch."""
    cpu_seconds: float
    """User and system."""
    resident_bytes: int


def process_numbers() -> ProcessNumbers:
    """Return what the process has taken so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return ProcessNumbers(STARTED, used.ru_utime + used.ru_stime, _resident())


def process_families(version: str, process: ProcessNumbers) -> list[Family]:
    """Return the metrics of a process. Pure."""
    return [
        gauge("bootseer_build_info", "1, with the version.", Sample(1, {"version": version})),
        gauge(
            "process_start_time_seconds",
            "When the server started, in seconds since the epoch.",
            Sample(process.started),
        ),
        counter(
            "process_cpu_seconds_total",
            "Processor time of the server.",
            Sample(process.cpu_seconds),
        ),
        gauge(
            "process_resident_memory_bytes",
            "Memory of the server.",
            Sample(process.resident_bytes),
        ),
    ]


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
