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


_MANY: Final = 120
_EACH: Final = 3 * PIECE


def measure(place: HdfsPlace) -> list[Figure]:
    """Write and read files, and write very many at once; look at the most that was resident."""
    goal = float(_CACHE_MB + _BESIDE_MB)
    return [
        Figure(f"memory with {_WRITERS} writers, {_READERS} readers", _some(place), "MB", goal),
        Figure(f"memory with {_MANY} writers", _many(place), "MB", goal),
    ]


def _many(place: HdfsPlace) -> float:
    """Write files that are all open at the same time."""
    with place.mount() as mount, ThreadPoolExecutor(_MANY) as pool:
        paths = [mount.path / f"many{n}" for n in range(_MANY)]
        list(pool.map(lambda path: write_file(path, _EACH), paths))
        most = _most_resident(mount.pid)
        for path in paths:
            path.unlink()
    return most


def _some(place: HdfsPlace) -> float:
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
    return most


def _most_resident(pid: int) -> float:
    """Return the most memory that a process has had, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise AssertionError("no VmHWM")
