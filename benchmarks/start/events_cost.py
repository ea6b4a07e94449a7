"""What it costs a start that its programs tell of their stages.

Processor time of a process that tells of stages, against one that does the same and tells nobody:
what every such process pays once (the modules, a thread), and what each event costs.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from bootseer.events.reading import read_events
from tooling.places import REPOSITORY

_PROGRAM: Final = """
import sys, bootseer
for _ in range(int(sys.argv[1])):
    with bootseer.stage("stage", attribute="value"):
        pass
"""
_MANY: Final = 500
"""Stages; as many as a sink takes without dropping any."""
_RUNS: Final = 7
_PROCESSES: Final = 4
"""Of a node's start: the mount, `bootseer deps`, and two of the job."""


def seconds_of_a_start(events: Path, starts: int) -> float:
    """Return processor seconds that the events of one start cost on a node.

    `events` has those of `starts` starts of one node.
    """
    count = len(read_events([events]).events) / starts
    with tempfile.TemporaryDirectory() as directory:
        silent = _cost(1, "")
        one = _cost(1, directory) - silent
        many = (_cost(_MANY, directory) - _cost(_MANY, "")) / (2 * _MANY)
    return max(one, 0.0) * _PROCESSES + max(many, 0.0) * count


def _cost(stages: int, destination: str) -> float:
    """Return the median processor seconds of a process."""
    environment = {**os.environ, "BOOTSEER_EVENTS": destination, "PYTHONPATH": str(REPOSITORY)}
    found = []
    for _ in range(_RUNS):
        before = _used()
        argv = [sys.executable, "-c", _PROGRAM, str(stages)]
        subprocess.run(argv, env=environment, check=True)
        found.append(_used() - before)
    return statistics.median(found)


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
