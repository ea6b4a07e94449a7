"""Packages to install: their wheels, downloaded once, and environments to install them into."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import HostError, RemoteError
from tooling import uv
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import doing

SET_M: Final = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "transformers",
    "datasets",
    "pyarrow",
    "matplotlib",
)
SET_L: Final = (*SET_M, "accelerate", "torch")
QUICK: Final = ("numpy", "pandas")
_FROM_OUTSIDE: Final = ("PATH", "HOME", "LANG", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Wheels, and where they are installed."""

    wheels: Path
    names: tuple[str, ...]
    directory: Path
    """Of the measurement; removed afterwards."""

    @property
    def venv(self) -> Path:
        """The environment. Always at the same path: it is part of a snapshot's key."""
        return self.directory / "venv"

    @property
    def requirements(self) -> Path:
        """The requirements file."""
        return self.directory / "requirements.txt"

    def write_requirements(self, names: Sequence[str] = ()) -> None:
        """Write what is to be installed."""
        self.requirements.write_text("".join(f"{name}\n" for name in names or self.names))

    def fresh(self) -> None:
        """Make the environment anew, with nothing but pip in it."""
        pristine = self.directory / "pristine"
        if not pristine.exists():
            subprocess.run([sys.executable, "-m", "venv", str(self.venv)], check=True)
            self.venv.rename(pristine)
        self.put_away(self.venv)
        subprocess.run(["cp", "-a", str(pristine), str(self.venv)], check=True)

    def forget(self) -> None:
        """Be a node that has not restored anything yet."""
        self.put_away(self.directory / "cache-home")

    def put_away(self, path: Path) -> None:
        """Have nothing at a path; what is there is removed by `clear`, when nothing is measured.

        ext4 passes over inodes that were in use a minute ago, one by one: after the removal of an
        environment half of the processor time of making the next one would be that.
        """
        if path.exists():
            self._gone.mkdir(exist_ok=True)
            path.rename(self._gone / str(len(list(self._gone.iterdir()))))

    def clear(self) -> None:
        """Remove what was put away."""
        shutil.rmtree(self._gone, ignore_errors=True)

    @property
    def _gone(self) -> Path:
        return self.directory / "gone"

    def pip(self, *options: str) -> tuple[str, ...]:
        """Return the command that installs the requirements with pip."""
        links = ("--no-index", "--find-links", str(self.wheels))
        return ("pip", "install", "-q", *links, *options, "-r", str(self.requirements))

    def uv(self, cache: Path, *options: str) -> tuple[str, ...]:
        """Return the command that installs the requirements with uv."""
        program = str(uv.find())
        links = ("--no-index", "--find-links", str(self.wheels), "--cache-dir", str(cache))
        return (program, "pip", "install", "-q", *links, *options, "-r", str(self.requirements))

    def deps(self, store: Path, *options: str, step: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the command that does an install step by its snapshot."""
        own = ("deps", "run", "--name", "bench", "--store", f"file://{store}", *options)
        return (sys.executable, "-m", "bootseer", *own, "--", *(step or self.pip()))

    def environment(self) -> Mapping[str, str]:
        """Return the variables for all of these commands."""
        kept = {name: os.environ[name] for name in _FROM_OUTSIDE if name in os.environ}
        return kept | {
            "PATH": f"{self.venv}/bin:{kept.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(self.venv),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "XDG_CACHE_HOME": str(self.directory / "cache-home"),
            "PYTHONPATH": str(REPOSITORY),
        }


def package_set(names: tuple[str, ...], directory: Path) -> PackageSet:
    """Return a set whose wheels are there, downloaded if need be.

    Raises:
        RemoteError: they cannot be downloaded.
        HostError: this Python has no pip.
    """
    tag = hashlib.sha256(" ".join((*names, sys.version)).encode()).hexdigest()[:12]
    wheels = cache_dir() / f"deps-wheels-{tag}"
    if not wheels.exists():
        with doing(f"wheels of {' '.join(names)}"):
            _download(names, wheels)
    found = PackageSet(wheels, names, directory)
    found.write_requirements()
    found.fresh()
    return found


def _download(names: Sequence[str], wheels: Path) -> None:
    incomplete = wheels.with_suffix(".new")
    shutil.rmtree(incomplete, ignore_errors=True)
    venv = incomplete.with_suffix(".venv")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        wanted = ["--only-binary=:all:", "-d", str(incomplete), *names]
        command = [str(venv / "bin/pip"), "download", "-q", *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except (OSError, subprocess.CalledProcessError) as error:
        raise HostError(f"no environment with pip: {error}") from error
    finally:
        shutil.rmtree(venv, ignore_errors=True)
    if done.returncode:
        raise RemoteError(f"pip download: {done.stderr.strip().splitlines()[-1]}")
    incomplete.rename(wheels)
