"""An OpenTelemetry collector for tests, built by Go from pinned, hashed modules into the cache."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from tooling.golang import build_environment, find_go
from tooling.locking import only_one
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import doing
from tooling.running import run_logged

SOURCE: Final = REPOSITORY / "tests" / "collector"
_OLDEST_GO: Final = (1, 26)


def ensure() -> Path:
    """Return the program, built first where it is not there (two minutes).

    Raises `SetupError`.
    """
    with only_one(cache_dir() / "collector.lock"):
        place = cache_dir() / f"collector-{_digest()}"
        if not place.exists():
            _build(place)
    return place


def _digest() -> str:
    files = sorted(path for path in SOURCE.iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def _build(place: Path) -> None:
    go = find_go(_OLDEST_GO, "an OpenTelemetry collector")
    work = place.with_name(f"{place.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with doing(f"building an OpenTelemetry collector with Go ({go.where}; two minutes, once)"):
            argv = [go.program, "build", "-C", str(SOURCE), "-mod=readonly"]
            argv += ["-ldflags=-s -w", "-o", str(work / "collector"), "."]
            log = cache_dir() / "logs" / "collector.log"
            what = f"building a collector with {go.program}"
            run_logged(argv, log, what=what, env=build_environment(work))
        (work / "collector").rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # most of a gigabyte that nobody needs again
