"""Where the benchmark of striped files measures: a cluster, and what is written to it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.hadoop_servers import write_site
from benchmarks.lab.hdfs import Hdfs, running_hdfs
from benchmarks.lab.hdfs_mount import Mounted, mounted
from benchmarks.lab.hdfs_network import HdfsNetwork, hdfs_network
from benchmarks.lab.workdir import work_directory
from bootseer.errors import CorruptError
from tooling.progress import doing

PIECE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much to measure."""

    runs: int
    size: int
    """Bytes of a large file."""
    files: int
    """Number of small ones."""


@dataclass(frozen=True, slots=True)
class HdfsPlace:
    """A cluster whose DataNodes are machines of their own, and how much to measure."""

    directory: Path
    net: HdfsNetwork
    hdfs: Hdfs
    runs: int
    size: int
    """Bytes of a large file."""
    files: int
    """Number of small ones."""

    @property
    def nodes(self) -> int:
        """DataNodes."""
        return len(self.hdfs.servers)

    @contextlib.contextmanager
    def mount(
        self,
        *,
        stripes: int | None = None,
        copies: int = 1,
        store: str | None = None,
        unit_kib: int = 4096,
        cache_mib: int = 256,
    ) -> Iterator[Mounted]:
        """Mount the root of the cluster, or a `store`, without anything in memory yet."""
        settings = (
            f"hdfs: {{stripe_count: {stripes or self.nodes}, stripe_unit: {unit_kib}KiB, "
            f"cache: {cache_mib}MiB, ahead: {cache_mib // 2}MiB, "
            f"spool: {self.directory / 'spool'}}}\n"
        )
        site = self.directory / f"copies{copies}"
        site.mkdir(exist_ok=True)
        write_site(site / "hdfs-site.xml", {"dfs.replication": str(copies)})
        enter = [*self.net.hub.enter, "env", f"HADOOP_CONF_DIR={site}"]
        address = store or self.hdfs.address("", "root")
        with mounted(address, self.directory, settings, enter) as mount:
            yield mount

    def set_rates(self, megabits: float | None) -> None:
        """Limit every DataNode's link, or none."""
        for number in range(self.nodes):
            self.net.set_rate(number, megabits)


@contextlib.contextmanager
def running_place(
    nodes: int, rate: float, amounts: Amounts, *, stock: bool = False
) -> Iterator[HdfsPlace]:
    """Run a cluster whose DataNodes have links of `rate` Mbit/s; `stock`: see `running_hdfs`.

    HostError if it does not start.
    """
    with undo_stack() as stack:
        directory = stack.enter_context(work_directory())
        net = stack.enter_context(hdfs_network(nodes))
        with doing(f"HDFS with {nodes} DataNodes"):
            cluster = running_hdfs(directory / "hdfs", net.hub, net.data_nodes, stock=stock)
            hdfs = stack.enter_context(cluster)
        place = HdfsPlace(directory, net, hdfs, amounts.runs, amounts.size, amounts.files)
        place.set_rates(rate)
        yield place


def write_file(path: Path, size: int) -> float:
    """Write a file and close it; return megabits a second."""
    piece = _piece()
    start = time.monotonic()
    with path.open("wb", 0) as file:
        for number in range(size // PIECE):
            piece[:8] = number.to_bytes(8, "little")
            file.write(piece)
    return _megabits(size, start)


def read_file(path: Path, size: int) -> float:
    """Read what `write_file` wrote from front to back; return megabits a second.

    Then the kernel has it, and every byte is compared, which nobody is timed for.
    CorruptError if one differs.
    """
    wanted, found = _piece(), bytearray(PIECE)
    with path.open("rb", 0) as file:
        start = time.monotonic()
        for _ in range(size // PIECE):
            _read_piece(file, found)
        speed = _megabits(size, start)
        file.seek(0)
        for number in range(size // PIECE):
            _read_piece(file, found)
            wanted[:8] = number.to_bytes(8, "little")
            if found != wanted:
                raise CorruptError(f"{path} is not what was written")
    return speed


def _read_piece(file: FileIO, into: bytearray) -> None:
    view = memoryview(into)
    while view:
        got = file.readinto(view)
        if not got:
            raise CorruptError(f"{file.name} ends early")
        view = view[got:]


def _megabits(size: int, start: float) -> float:
    return size * 8 / 1e6 / (time.monotonic() - start)


def _piece() -> bytearray:
    """Return bytes in which no block is like another."""
    return bytearray(b"".join(n.to_bytes(16, "big") for n in range(PIECE // 16)))
