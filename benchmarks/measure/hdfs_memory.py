"""How much memory a mount takes when everything is read and written at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.measure.hdfs_place import PIECE, HdfsPlace, read_file, write_file

_CACHES_MB: Final = (256, 64)
"""Of these settings of `hdfs.cache`; the first is the default."""
_BESIDE_MB: Final = 150
_WRITERS: Final = 8
_READERS: Final = 8


_MANY: Final = 120
_EACH: Final = 3 * PIECE


def measure(place: HdfsPlace) -> list[Figure]:
    """Write and read files, and write very many at once; look at the most that was resident."""
    found = []
    for cache in _CACHES_MB:
        goal, of = float(cache + _BESIDE_MB), f"cache {cache} MiB"
        some, many = _some(place, cache), _many(place, cache)
        found += [
            Figure(f"memory, {of}, {_WRITERS} writers, {_READERS} readers", some, "MB", goal),
            Figure(f"memory, {of}, {_MANY} writers", many, "MB", goal),
        ]
    return found


def _many(place: HdfsPlace, cache: int) -> float:
    """Write files that are all open at the same time."""
    with place.mount(cache_mib=cache) as mount, ThreadPoolExecutor(_MANY) as pool:
        paths = [mount.path / f"many{n}" for n in range(_MANY)]
        list(pool.map(lambda path: write_file(path, _EACH), paths))
        most = _most_resident(mount.pid)
        for path in paths:
            path.unlink()
    return most


def _some(place: HdfsPlace, cache: int) -> float:
    size = place.size // _WRITERS // PIECE * PIECE
    with place.mount() as mount:
        write_file(mount.path / "read", place.size)
    mounting = place.mount(cache_mib=cache)
    with mounting as mount, ThreadPoolExecutor(_WRITERS + _READERS) as pool:
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
