"""The machine below: distribution, its packages, C library, architecture, as ingredients."""

import hashlib
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from depsnap.key.ingredients import Ingredient, ingredient

_DATABASES: Final = ("var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite", "lib/apk/db/installed")
_ACCOUNTS: Final = ("passwd", "group")
_CPU: Final = Path("/proc/cpuinfo")
_CLASSES: Final = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx2", "bmi1", "bmi2", "fma", "movbe"}),
    ("x86-64-v2", {"sse4_2", "ssse3", "popcnt", "cx16"}),
)
"""Levels of the x86-64 psABI, by flags that tell them apart in /proc/cpuinfo."""
_DRIVER: Final = Path("/proc/driver/nvidia/version")


def system_ingredients(root: Path = Path("/")) -> list[Ingredient]:
    """Return what is known of the system below; what does not exist is no ingredient."""
    found = [ingredient("machine", [platform.machine(), _c_library()])]
    release = root / "etc/os-release"
    if release.is_file():
        found.append(ingredient("os-release", release.read_text("utf-8", "replace").splitlines()))
    for name in _DATABASES:
        path = root / name
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            found.append(ingredient("system packages", [str(path), digest.hex()[:12]], digest))
    return found


def account_ingredients(roots: Iterable[str], root: Path = Path("/")) -> list[Ingredient]:
    """Return users and groups, where the roots cover the files that have them.

    A step that adds one changes a file with all of them: it is restored only where the others are
    the same. Passwords are not looked at.
    """
    if not any("/etc".startswith(f"{one.rstrip('/')}/") or one == "/etc" for one in roots):
        return []
    found = [root / "etc" / name for name in _ACCOUNTS]
    files = [path.read_bytes() for path in found if path.is_file()]
    names = [
        line.split(b":")[0].decode("utf-8", "replace") for file in files for line in file.split()
    ]
    return [ingredient("accounts", names, b"\0".join(files))]


def native_ingredient() -> Ingredient:
    """Return what compiled code may depend on: class of the processor, driver of the GPU."""
    lines = [cpu_class(_CPU.read_text("utf-8", "replace") if _CPU.exists() else "")]
    if _DRIVER.exists():
        driver = _DRIVER.read_text("utf-8", "replace").splitlines()
        lines += driver[:1]
    return ingredient("native", lines)


def cpu_class(cpuinfo: str) -> str:
    """Return the class of the processor that a /proc/cpuinfo describes."""
    match = re.search(r"^flags\s*: (.*)$", cpuinfo, re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    return next((name for name, needed in _CLASSES if needed <= flags), platform.machine())


def _c_library() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown C library"
    except (ValueError, OSError):
        return "unknown C library"
