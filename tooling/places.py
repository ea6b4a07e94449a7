"""Where things lie: the repository, and the cache of everything that is downloaded or built."""

import os
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """Return the directory for downloads and builds (XDG base directory specification)."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "bootseer"
