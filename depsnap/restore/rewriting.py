"""Which installed files no tool ever rewrites in place, so that two environments may share them.
Pure."""

import re
from typing import Final

_INSTALLED: Final = re.compile(r"/(?:(?:site|dist)-packages|node_modules)/")
_REWRITTEN: Final = re.compile(r"\.(?:dist|egg)-info/|/bin/|/etc/|easy-install")
"""Directories where no tool rewrites what it has installed, and such in them where some do."""
_SUFFIXES: Final = """
    py pyc pyi pyx pxd so a h hpp cuh c cc f f90 js mjs cjs ts map css html png svg gif jpg ttf
    npy npz bin dat csv gz xz mat parquet
"""
_LINKED: Final = frozenset(_SUFFIXES.split())
"""Suffixes of what no tool rewrites in place once it is installed."""
_LIBRARY: Final = re.compile(r"\.so\.[0-9.]+$")


def may_share(directory: str) -> bool:
    """Say whether any files in a directory may be shared; the path has no slash in front."""
    whole = f"/{directory}/"
    return _INSTALLED.search(whole) is not None and _REWRITTEN.search(whole) is None


def is_shared(name: str) -> bool:
    """Say whether a file may be, if any in its directory may."""
    if "easy-install" in name:
        return False
    return name.rpartition(".")[2] in _LINKED or _LIBRARY.search(name) is not None
