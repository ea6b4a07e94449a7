"""A mounted image against the same tree unpacked on the local file system."""

import contextlib
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, median_ratio, spread
from benchmarks.lab import starts
from benchmarks.lab.cleanup import unmount_below
from benchmarks.lab.page_cache import drop_all_but, drop_caches
from benchmarks.lab.starts import Node
from tooling.progress import doing

_PIECE: Final = 1 << 20
_STILL_S: Final = 0.5


@contextlib.contextmanager
def mounted(node: Node, reference: str, snapshotter: str, target: Path) -> Iterator[Path]:
    """Mount a pulled image's tree, as a container would see it, on `target` during the block."""
    target.mkdir()
    ctr = node.containerd.ctr
    name = f"tree-{snapshotter}"
    ctr("containers", "create", "--snapshotter", snapshotter, reference, name)
    try:
        line = ctr("snapshots", "--snapshotter", snapshotter, "mounts", str(target), name)
        subprocess.run(shlex.split(line), check=True)
        yield target
    finally:
        unmount_below(target)
        ctr("containers", "rm", name)


def alternate(
    ours: Callable[[], float], theirs: Callable[[], float], runs: int
) -> tuple[list[float], list[float]]:
    """Measure the two in turn."""
    pairs = [(ours(), theirs()) for _ in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def find_seconds(tree: Path) -> float:
    """Return how long it takes to list a whole tree."""
    began = time.perf_counter()
    subprocess.run(["find", str(tree), "-xdev"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def read_seconds(path: Path) -> float:
    """Return how long it takes to read a file from its beginning to its end."""
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(_PIECE):
            pass
    return time.perf_counter() - began


def cold(measure: Callable[[Path], float], path: Path) -> Callable[[], float]:
    """Return the measurement with the kernel's caches dropped before it."""

    def run() -> float:
        drop_caches()
        return measure(path)

    return run


def measure_find(ours: Path, theirs: Path, runs: int) -> list[Figure]:
    """Compare listing the whole tree, warm and cold."""
    find_seconds(ours), find_seconds(theirs)
    with doing("find over the whole image"):
        warm = alternate(lambda: find_seconds(ours), lambda: find_seconds(theirs), runs)
        drop = alternate(cold(find_seconds, ours), cold(find_seconds, theirs), runs)
    return [
        Figure("find, warm: ours / overlayfs on ext4", median_ratio(*warm), "x", 1.2),
        Figure("find, cold: ours / overlayfs on ext4", median_ratio(*drop), "x", 2.0),
        *spread("find, warm: ours", warm[0], "s"),
        *spread("find, cold: ours", drop[0], "s"),
    ]


def largest_file(tree: Path) -> Path:
    """Return the largest regular file below `tree`."""
    found = subprocess.run(
        ["find", str(tree), "-xdev", "-type", "f", "-size", "+10M", "-printf", r"%s %p\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    _, path = max(
        (int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in found.splitlines()
    )
    return Path(path)


def settle(node: Node) -> None:
    """Wait until the node's snapshotter fetches nothing any more.

    Who reads the beginning of a library has those fetched that it is linked with.
    """
    before = -1

    def still() -> bool:
        nonlocal before
        time.sleep(_STILL_S)
        layers = starts.status(node)["layers"]
        now = sum(layer["fetched_bytes"] for layer in layers)
        since, before = before, now
        return now == since and not any(layer["fetching"] for layer in layers)

    node.snapshotter.wait_until(still)


def measure_large_file(
    node: Node, ours: Path, theirs: Path, runs: int, cached: str
) -> list[Figure]:
    """Compare reading the largest file, page cache dropped; `cached` says what else is local."""
    path = largest_file(ours)
    other = theirs / path.relative_to(ours)
    size = path.stat().st_size
    read_seconds(path)
    settle(node)
    name = f"large file, {cached}, cold"
    with doing(f"reading {path.name}, {size / 1e6:.0f} MB, {cached}, page cache dropped"):
        mine, plain = alternate(cold(read_seconds, path), cold(read_seconds, other), runs + 1)
        # The first pair fills memory that a virtual machine's host has yet to give: not ours to
        # measure, and it falls on each of the three page caches in our way.
        del mine[0], plain[0]
    return [
        Figure(f"{name}: speed of ours / ext4", median_ratio(plain, mine), "x", 0.6, "higher"),
        *spread(f"{name}: ours", [size / 1e6 / s for s in mine], "MB/s"),
        *spread(f"{name}: ext4", [size / 1e6 / s for s in plain], "MB/s"),
    ]


def read_everything(tree: Path, served: Iterable[Path]) -> tuple[float, int]:
    """Read every file of a tree, one after the other, caches cold; return seconds and bytes.

    A file with several names is read once. What the registry serves from, `served`, is in the page
    cache, as it is with a registry that serves many nodes, and as the layers are for those who
    only inflate them.
    """
    listed = subprocess.run(
        ["find", str(tree), "-xdev", "-type", "f", "-printf", r"%D:%i %s %p\0"],
        capture_output=True,
        check=True,
    ).stdout
    rows = (entry.split(b" ", 2) for entry in listed.split(b"\0") if entry)
    files = {inode: (int(size), path) for inode, size, path in rows}
    paths = b"\0".join(path for _, path in files.values())
    drop_all_but(served)
    began = time.perf_counter()
    subprocess.run(["xargs", "-0", "cat", "--"], input=paths, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began, sum(size for size, _ in files.values())
