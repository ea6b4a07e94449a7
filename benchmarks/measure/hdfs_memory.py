"""How much memory a mount takes when everything is read and written at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.measure.hdfs_place import PIECE, HdfsPlace, read_file, write_file

_CACHE_MB: Final = 256
_BESIDE_MB: Final = 150
_WRITERS: Final = 8
_READERS: Final = 8


def measure(place: HdfsPlace) -> list[Figure]:
    """Write and read files, some of each at once, and look at the most that was resident."""
    size = place.size // _WRITERS // PIECE * PIECE
    with place.mount() as mount:
        write_file(mount.path / "read", place.size)
    with place.mount() as mount, ThreadPoolExecutor(_WRITERS + _READERS) as pool:
        work = [pool.submit(write_file, mount.path / f"written{n}", size) for n in range(_WRITERS)]
        work += [pool.submit(read_file, mount.path / "read", place.size) for _ in range(_READERS)]
        for one in work:
            one.result()
        most = _most_resident(mount.pid)
        for name in ("read", *(f"written{n}" for n in range(_WRITERS))):
            (mount.path / name).unlink()
    name = f"memory with {_WRITERS} writers, {_READERS} readers"
    return [Figure(name, most, "MB", float(_CACHE_MB + _BESIDE_MB))]


def _most_resident(pid: int) -> float:
    """Return the most memory that a process has had, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise AssertionError("no VmHWM")
