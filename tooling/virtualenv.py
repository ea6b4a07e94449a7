"""Virtual environments in the cache, made from lock files: every package pinned, every file hashed.

An environment's name holds a hash of its lock files and of the Python it is for. So it never
changes after it is complete, checkouts share it, and a changed lock file gives a new one.

pyfuse3 publishes no wheel. It is built once, with build tools that are locked too, and kept.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tooling.places import REPOSITORY, cache_dir
from tooling.progress import doing
from tooling.running import SetupError, run_logged

_REQUIREMENTS: Final = REPOSITORY / "requirements"
_COMPLETE: Final = ".complete"
_BUILT_HERE: Final = "pyfuse3"
_UNUSED_DAYS: Final = 30


def environment(locks: Sequence[str], *, name: str = "venv") -> Path:
    """Return a complete environment with the packages of `requirements/<lock>.lock`.

    Made where it is missing. Callers hold the setup lock. Raises `SetupError`.
    """
    files = [_REQUIREMENTS / f"{lock}.lock" for lock in locks]
    venv = cache_dir() / f"{name}-{_key(files)}"
    if not (venv / _COMPLETE).exists():
        with doing(f"Python environment {venv.name} ({', '.join(locks)})"):
            _make(venv, files)
        _prune(name, keep=venv)
    os.utime(venv / _COMPLETE)
    return venv


def _key(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for part in (sys.version, sysconfig.get_platform(), sys.base_prefix):
        digest.update(part.encode() + b"\0")
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _make(venv: Path, files: Sequence[Path]) -> None:
    log = cache_dir() / "logs" / f"{venv.name}.log"
    shutil.rmtree(venv, ignore_errors=True)
    run_logged([sys.executable, "-m", "venv", str(venv)], log, what="python3 -m venv")
    for file in files:
        from_index, built_here = split_lock(file.read_text())
        part = venv / f"{file.stem}.txt"
        part.write_text(from_index)
        if built_here:
            wheel = _built_wheel(built_here, log)
            _pip(venv, ["install", "--no-deps", "--no-index", str(wheel)], log)
        _pip(venv, ["install", "--no-deps", "--require-hashes", "-r", str(part)], log)
    (venv / _COMPLETE).touch()


def _pip(venv: Path, arguments: list[str], log: Path) -> None:
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run_logged([*pip, *arguments], log, what=f"pip {arguments[0]}")


def split_lock(text: str) -> tuple[str, str]:
    """Split a lock file into what comes as wheels and what is built here; both are requirements."""
    from_index: list[str] = []
    built_here: list[str] = []
    target = from_index
    for line in text.splitlines(keepends=True):
        if not line.startswith((" ", "#")):
            target = built_here if line.startswith(f"{_BUILT_HERE}==") else from_index
        target.append(line)
    return "".join(from_index), "".join(built_here)


def _built_wheel(requirement: str, log: Path) -> Path:
    """Return the wheel built from `requirement` (with its hashes), built once."""
    key = hashlib.sha256(f"{requirement}{sysconfig.get_platform()}{sys.version}".encode())
    directory = cache_dir() / "wheels" / key.hexdigest()[:12]
    if not (wheels := list(directory.glob("*.whl"))):
        _build_wheel(requirement, directory, log)
        wheels = list(directory.glob("*.whl"))
    if len(wheels) != 1:
        raise SetupError(f"expected one wheel in {directory}, found {len(wheels)}; remove it")
    return wheels[0]


def _build_wheel(requirement: str, directory: Path, log: Path) -> None:
    tools = environment(["build"], name="build")
    partial = directory.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    source = partial / "source.txt"
    source.write_text(requirement)
    # Without isolation, pip would fetch build tools that nobody pinned.
    how = ["--no-deps", "--no-build-isolation", "--require-hashes", "--no-binary", _BUILT_HERE]
    _pip(tools, ["wheel", *how, "-w", str(partial), "-r", str(source)], log)
    source.unlink()
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)


def _prune(name: str, *, keep: Path) -> None:
    """Remove environments that nobody has used for a month (or never completed)."""
    oldest = time.time() - _UNUSED_DAYS * 86400
    for marker in cache_dir().glob(f"{name}-????????????/{_COMPLETE}"):
        if marker.parent != keep and marker.stat().st_mtime < oldest:
            shutil.rmtree(marker.parent, ignore_errors=True)


def python_version(python: Path) -> str:
    """Return what `python --version` says, for messages."""
    result = subprocess.run([str(python), "--version"], capture_output=True, text=True, check=False)
    return result.stdout.strip()
