"""The Python that a command installs for: which one it is, and what it says of itself."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.errors import HostError
from depsnap.key.ingredients import Ingredient, ingredient
from depsnap.key.installers import option_values

_PYTHON: Final = re.compile(r"^(python|pypy)[0-9.]*$")
_ASK: Final = """
import json, os, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    "executable": os.path.realpath(sys.executable), "prefix": sys.prefix,
    "version": sys.version, "soabi": sysconfig.get_config_var("SOABI") or "",
    "tag": sys.implementation.cache_tag or "",
    "paths": [p for p in sys.path if p],
    "roots": [paths[n] for n in ("purelib", "platlib", "scripts", "data")],
}))
"""
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What a Python says of itself."""

    program: Path
    """What to start."""
    executable: str
    """The same with links followed."""
    prefix: str
    version: str
    """`sys.version`, with patch level and compiler."""
    soabi: str
    cache_tag: str
    """`cpython-311`; in the names of compiled files."""
    paths: tuple[str, ...]
    """`sys.path`."""
    purelib: str
    platlib: str
    scripts: str
    data: str

    @property
    def roots(self) -> tuple[str, ...]:
        """Where packages install to."""
        return (self.purelib, self.platlib, self.scripts, self.data)


def find_python(command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the Python that a command installs for; None if there is none.

    It is the command itself, the one in its first line, the one it names by an option, or that of
    the environment which is switched on, and else the first on PATH.
    """
    path = environment.get("PATH", os.defpath)
    program = shutil.which(command[0], path=path) if command else None
    if program and _PYTHON.match(Path(command[0]).name):
        return Path(program)
    if program and (named := _first_line(Path(program))) is not None:
        return named
    for name in option_values(command, "--python") + _environments(environment, cwd):
        candidate = Path(cwd, name)
        for inside in (candidate / "bin/python", candidate):
            if inside.is_file() and os.access(inside, os.X_OK):
                return inside
        if found := shutil.which(name, path=path):
            return Path(found)
    found = shutil.which("python3", path=path) or shutil.which("python", path=path)
    return Path(found) if found else None


def _environments(environment: Mapping[str, str], cwd: Path) -> list[str]:
    names = [environment.get("VIRTUAL_ENV", ""), environment.get("CONDA_PREFIX", "")]
    return [name for name in (*names, str(cwd / ".venv")) if name]


def _first_line(program: Path) -> Path | None:
    """Return the Python that runs a script; None if it is not a script for one."""
    with program.open("rb") as file:
        line = file.read(512).split(b"\n", 1)[0]
    if not line.startswith(b"#!"):
        return None
    words = os.fsdecode(line[2:]).split()
    if words and _PYTHON.match(Path(words[0]).name) and Path(words[0]).is_file():
        return Path(words[0])
    return None


def ask(program: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start asking an interpreter; `answer` waits for what it says.

    Raises:
        HostError: it cannot be started.
    """
    try:
        return subprocess.Popen(
            [program, "-c", _ASK],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise HostError(f"{program} cannot be started: {error.strerror}") from error


def answer(program: Path, asked: "subprocess.Popen[bytes]") -> Interpreter:
    """Return what an interpreter says. HostError if that makes no sense."""
    with asked:
        try:
            said, _ = asked.communicate(timeout=_PATIENCE_S)
            facts = json.loads(said)
            roots = facts["roots"]
            return Interpreter(
                program,
                facts["executable"],
                facts["prefix"],
                facts["version"],
                facts["soabi"],
                facts["tag"],
                tuple(facts["paths"]),
                *roots,
            )
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
            asked.kill()
            raise HostError(f"{program} does not say which Python it is") from error


def interpreter_ingredient(python: Interpreter) -> Ingredient:
    """Return the interpreter as an ingredient: two patch levels are two interpreters."""
    return ingredient(
        "interpreter", [python.version, python.executable, python.prefix, python.soabi]
    )


def installed_ingredient(python: Interpreter) -> Ingredient:
    """Return what is installed for an interpreter: names of distributions, and of `.pth` files."""
    lines = []
    for directory in dict.fromkeys(python.paths):
        try:
            names = os.listdir(directory)  # noqa: PTH208 (names only)
        except OSError:
            continue
        kinds = (".dist-info", ".egg-info", ".egg-link", ".pth")
        lines += [f"{directory}/{name}" for name in sorted(names) if name.endswith(kinds)]
    return ingredient("installed", lines)
