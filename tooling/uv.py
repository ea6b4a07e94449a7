"""uv, pinned and hashed: it resolves the lock files, and tests and benchmarks install with it."""

import shutil
from pathlib import Path

from tooling import virtualenv
from tooling.locking import only_one
from tooling.places import cache_dir


def install() -> Path:
    """Return our own, installed where it is missing. Callers hold the setup lock. `SetupError`."""
    return virtualenv.environment(["uv"], name="uv") / "bin" / "uv"


def find() -> Path:
    """Return the one on PATH, else our own. Raises `SetupError`."""
    if on_path := shutil.which("uv"):
        return Path(on_path)
    with only_one(cache_dir() / "setup.lock"):
        return install()
