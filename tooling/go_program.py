"""A Go program for tests or benchmarks, built from pinned, hashed modules into the cache."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from tooling.golang import build_environment, find_go
from tooling.locking import only_one
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import doing
from tooling.running import run_logged


@dataclass(frozen=True, slots=True)
class GoProgram:
    """Source of a program: a directory with go.mod and go.sum."""

    name: str
    """Of directory and program."""
    what: str
    """For people: "a collector"."""
    oldest_go: tuple[int, int]
    with_c: bool = False
    """It has parts in C: a compiler is needed, and the headers of libraries."""
    package: str = "."
    """What is built: the module's own package, or one of a module that it requires."""
    parent: Path = REPOSITORY / "tests"
    """What the directory is in."""

    @property
    def source(self) -> Path:
        """Return the directory."""
        return self.parent / self.name

    def ensure(self) -> Path:
        """Return the program, built first where it is not there (two minutes).

        Raises `SetupError`.
        """
        with only_one(cache_dir() / f"{self.name}.lock"):
            place = cache_dir() / f"{self.name}-{self._digest()}"
            if not place.exists():
                self._build(place)
        return place

    def _digest(self) -> str:
        files = sorted(path for path in self.source.rglob("*") if path.is_file())
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]

    def _build(self, place: Path) -> None:
        go = find_go(self.oldest_go, self.what)
        work = place.with_name(f"{place.name}.new")
        shutil.rmtree(work, ignore_errors=True)
        try:
            with doing(f"building {self.what} with Go ({go.where}; two minutes, once)"):
                argv = [go.program, "build", "-C", str(self.source), "-mod=readonly"]
                argv += ["-ldflags=-s -w", "-o", str(work / "program"), self.package]
                log = cache_dir() / "logs" / f"{self.name}.log"
                environment = dict(build_environment(work))
                if self.with_c:
                    environment["CGO_ENABLED"] = "1"
                what = f"building {self.what} with {go.program}"
                run_logged(argv, log, what=what, env=environment)
            (work / "program").rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)  # most of a gigabyte that nobody needs again
