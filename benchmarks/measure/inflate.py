"""What two cores can do with a layer at all: inflate it and hash it, nothing else."""

import hashlib
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from isal import isal_zlib

_PIECE: Final = 1 << 20
_GZIP: Final = 31


def inflate(path: Path, make: Callable[[int], Any], *, hashed: bool) -> int:
    """Inflate a gzip file; return its uncompressed bytes."""
    inflater, digest, total = make(_GZIP), hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            data = inflater.decompress(piece)
            total += len(data)
            if hashed:
                digest.update(data)
    return total


def seconds_on_one_core(path: Path) -> float:
    """Return how long Python's zlib takes to inflate a layer."""
    began = time.perf_counter()
    inflate(path, zlib.decompressobj, hashed=False)
    return time.perf_counter() - began


def speed_of_two_threads(paths: Sequence[Path], *, fast: bool) -> float:
    """Return bytes a second at which two threads inflate and hash, each all of the layers.

    Each thread does the whole list, so that both are busy to the end. `fast`: with ISA-L.
    """
    make = isal_zlib.decompressobj if fast else zlib.decompressobj
    totals: list[int] = []

    def work() -> None:
        totals.append(sum(inflate(path, make, hashed=True) for path in paths))

    threads = [threading.Thread(target=work) for _ in range(2)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(totals) / (time.perf_counter() - began)
