"""Many files: making small ones, and listing large ones."""

import os
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.measure.hdfs_place import HdfsPlace
from bootseer.errors import CorruptError

_THREADS: Final = 16
_SMALL: Final = 1 << 20
_STRIPED: Final = (4 << 20) + 1
"""Just large enough to be striped."""
_GOAL_FILES: Final = 1000
_CREATE_S: Final = 45.0
_LIST_S: Final = 1.0


def measure(place: HdfsPlace) -> list[Figure]:
    """Make files, list them, remove them."""
    made, listed = [], []
    with place.mount() as mount:
        make(mount.path / "many-warm", place.files // 4, _SMALL)
        make(mount.path / "many-striped", place.files, _STRIPED)
    for number in range(place.runs):
        with place.mount() as mount:
            made.append(make(mount.path / f"many-small{number}", place.files, _SMALL))
        with place.mount() as mount:
            listed.append(_list(mount.path / "many-striped", place.files))
    share = place.files / _GOAL_FILES
    create, ls = statistics.median(made), statistics.median(listed)
    return [
        Figure(f"{place.files} files of 1 MiB by 16 threads", create, "s", _CREATE_S * share),
        Figure(f"ls -l of {place.files} striped files, cold", ls, "s", _LIST_S * share),
    ]


def make(directory: Path, number: int, size: int) -> float:
    """Create, write and close files; return seconds."""
    directory.mkdir()
    content = os.urandom(size)
    start = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(partial(_make, directory, content), range(number)))
    return time.monotonic() - start


def _make(directory: Path, content: bytes, number: int) -> None:
    (directory / f"{number}").write_bytes(content)


def _list(directory: Path, files: int) -> float:
    start = time.monotonic()
    done = subprocess.run(
        ["ls", "-l", str(directory)], capture_output=True, text=True, check=True
    ).stdout
    took = time.monotonic() - start
    if sum(f" {_STRIPED} " in line for line in done.splitlines()) != files:
        raise CorruptError("ls shows other files than were made")
    return took
