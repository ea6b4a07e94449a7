"""Links without a limit: the machine is what limits, and other ways to the same bytes."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.figures import Figure
from benchmarks.lab.hadoop_java import java_with
from benchmarks.measure.hdfs_place import HdfsPlace, read_file, write_file
from bootseer.errors import HostError
from tooling import hadoop
from tooling.places import REPOSITORY

_GOAL: Final = 0.8
_TOOL_S: Final = 300.0


@dataclass(slots=True)
class _Found:
    """Megabits a second, of each run."""

    speeds: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, measure: Callable[[], float]) -> None:
        self.speeds.setdefault(name, []).append(measure())

    def median(self, name: str) -> float:
        return statistics.median(self.speeds[name])


def measure(place: HdfsPlace) -> list[Figure]:
    """Read and write through the mount, and in all other ways."""
    found = _Found()
    with place.mount() as mount:
        write_file(mount.path / "striped", place.size)
    with place.mount(stripes=1) as mount:
        write_file(mount.path / "plain", place.size)
    bare, store = place.directory / "bare", place.directory / "store"
    bare.mkdir()
    store.mkdir()
    address = f"file://{store}"
    for _ in range(place.runs):
        found.take("read through the mount", lambda: _mounted_read(place, "striped"))
        found.take("read by the transport alone", lambda: _transport(place, "striped"))
        found.take("one plain stream of WebHDFS", lambda: _transport(place, "plain", "one"))
        found.take("hdfs dfs -get of a plain file", lambda: _get(place))
        found.take("write through the mount", lambda: _mounted_write(place))
        _cold_written(found, "bare file system", lambda: write_file(bare / "f", place.size))
        found.take("read, bare file system (page cache)", lambda: read_file(bare / "f", place.size))
        (bare / "f").unlink()
        found.take("write, mount of file://", lambda: _mounted_write(place, address))
        found.take("read, mount of file://", lambda: _mounted_read(place, "written", address))
        with place.mount(store=address) as mount:
            (mount.path / "written").unlink()
    with place.mount() as mount:
        for name in ("striped", "plain", "written"):
            (mount.path / name).unlink()
    share = found.median("read through the mount") / found.median("read by the transport alone")
    local = found.median("read, mount of file://") / found.median(
        "read, bare file system (page cache)"
    )
    return [
        *(Figure(name, found.median(name), "Mbit/s") for name in found.speeds),
        Figure("the mount, of the transport alone", share, "", _GOAL, "higher"),
        Figure("file://, of the bare file system", local, ""),
    ]


def _cold_written(found: _Found, name: str, write: Callable[[], float]) -> None:
    found.take(f"write, {name}", write)
    subprocess.run(["sync"], check=True)


def _mounted_read(place: HdfsPlace, name: str, store: str | None = None) -> float:
    with place.mount(store=store) as mount:
        return read_file(mount.path / name, place.size)


def _mounted_write(place: HdfsPlace, store: str | None = None) -> float:
    with place.mount(store=store) as mount:
        return write_file(mount.path / "written", place.size)


def _transport(place: HdfsPlace, *words: str) -> float:
    address = place.hdfs.address("", "root")
    argv = [sys.executable, "-m", "benchmarks.measure.hdfs_transport", address, *words]
    return float(_run([*place.net.hub.enter, *argv]))


def _get(place: HdfsPlace) -> float:
    """Fetch a file with Hadoop's own tool, whose start counts."""
    target = place.directory / "got"
    java = java_with(hadoop.ensure(), place.directory / "hdfs")
    start = time.monotonic()
    shell = [*java, "org.apache.hadoop.fs.FsShell", "-get", "/plain", str(target)]
    _run([*place.net.hub.enter, *shell])
    took = time.monotonic() - start
    target.unlink()
    return place.size * 8 / 1e6 / took


def _run(argv: list[str]) -> str:
    done = subprocess.run(
        argv, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=_TOOL_S
    )
    if done.returncode:
        raise HostError(f"{argv[-2]} failed: {done.stderr[-500:]}")
    return done.stdout
