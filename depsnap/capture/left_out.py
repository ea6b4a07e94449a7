"""What is never captured: caches, run-time state, locks, and our own directory. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from depsnap.swap.workplace import HIDDEN

_PLACES: Final = (
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "var/tmp",
    "var/run",
    "var/log",
    "var/cache",
    "var/lib/apt/lists",
    "var/lib/apt/periodic",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "etc/ld.so.cache",
    "etc/resolv.conf",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
)
"""In the root directory. The cache of libraries is made anew by ldconfig where it is restored."""
_ANYWHERE: Final = re.compile(
    rf"(^|/)({re.escape(HIDDEN)}|\.cache|\.npm/_cacache|\.npm/_logs|\.nv|\.triton/cache"
    r"|torch_extensions/.*lock"
    r"|conda/pkgs|miniconda3/pkgs|micromamba/pkgs|\.conda/pkgs)$"
)
_CACHES: Final = (
    "PIP_CACHE_DIR",
    "UV_CACHE_DIR",
    "XDG_CACHE_HOME",
    "CONDA_PKGS_DIRS",
    "RATTLER_CACHE_DIR",
    "NPM_CONFIG_CACHE",
    "npm_config_cache",
    "TORCH_EXTENSIONS_DIR",
    "TRITON_CACHE_DIR",
    "TMPDIR",
)
"""Variables that name directories of caches and of temporary files."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Paths that are never captured, with all that is below them."""

    paths: frozenset[str]
    """Without the slash in front."""

    def leaves_out(self, path: str, name: str) -> bool:
        """Say whether a path, whose last word is `name`, is left out."""
        if path in self.paths:
            return True
        # Asked for each of tens of thousands of paths: the expression only for the few that may.
        return _may_match(name) and _ANYWHERE.search(path) is not None


def _may_match(name: str) -> bool:
    return name[0] in "._" or name == "pkgs" or name.endswith("lock") or name == "cache"


def left_out(environment: Mapping[str, str]) -> LeftOut:
    """Return what is left out with these variables."""
    named = (environment.get(name, "").strip("/") for name in _CACHES)
    return LeftOut(frozenset({*_PLACES, *(path for path in named if path)}))
