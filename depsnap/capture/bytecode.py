"""Compiled Python that an installer left out is made once, at capture, not by every start."""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from depsnap.key.interpreter import Interpreter
from depsnap.tree.entries import DIRECTORIES, Entry, Kind, lies_in, parent, sort_key

_PATIENCE_S: Final = 1800.0
_OWN_IMPORTS: Final = "PYTHONDONTWRITEBYTECODE"


def uncompiled(entries: Sequence[Entry], python: Interpreter) -> list[str]:
    """Return the sources in the interpreter's packages, without a compiled file."""
    libraries = [root.strip("/") for root in {python.purelib, python.platlib}]
    paths = {entry.path for entry in entries if entry.kind is not Kind.DELETED}
    return [
        entry.path
        for entry in entries
        if entry.kind is Kind.FILE
        and entry.path.endswith(".py")
        and any(lies_in(entry.path, library) for library in libraries)
        and compiled_path(entry.path, python.cache_tag) not in paths
    ]


def compiled_path(source: str, tag: str) -> str:
    """Return where the compiled file of a source belongs (PEP 3147)."""
    directory, _, name = source.rpartition("/")
    return f"{directory}/__pycache__/{name[:-3]}.{tag}.pyc"


def compile_sources(
    sources: Iterable[str], python: Interpreter, environment: Mapping[str, str], workers: int
) -> None:
    """Compile. What cannot be compiled stays as it is: packages have templates that are no Python.

    Without the interpreter's `compileall` nothing happens.
    """
    lines = "".join(f"/{source}\n" for source in sources)
    variables = {name: value for name, value in environment.items() if name != _OWN_IMPORTS}
    command = [str(python.program), "-m", "compileall", "-qq", "-j", str(workers), "-i", "-"]
    try:
        subprocess.run(
            command,
            input=os.fsencode(lines),
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return


def with_compiled(
    changes: Sequence[tuple[str, Kind]], sources: Iterable[str], tag: str
) -> list[tuple[str, Kind]]:
    """Return the changes with the compiled files that are there now, and their directories."""
    found = dict(changes)
    for source in sources:
        path = compiled_path(source, tag)
        if not Path(f"/{path}").exists():
            continue
        found[path] = Kind.FILE
        above = parent(path)
        if found.get(above) not in DIRECTORIES:
            # Replaced as a whole it must not be: others may have compiled files in it.
            found[above] = Kind.NEW
    return sorted(found.items(), key=lambda one: sort_key(one[0]))
