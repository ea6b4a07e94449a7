"""Writes `requirements/*.lock`: packages pinned, the hashes of all their files, no index address.

The resolver is uv because it resolves for every Python and platform at once (numpy, for one, has
different newest versions for 3.11 and 3.12+) and says so with environment markers.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tooling import uv
from tooling.locking import only_one
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import say
from tooling.running import SetupError

_SOURCES: Final = {
    "uv": ["requirements/uv.in"],
    "build": ["requirements/build.in"],
    "rattler": ["requirements/rattler.in"],
    "go": ["requirements/go.in"],
    "run": ["pyproject.toml"],
    # What run.lock pins is left out of dev.lock and fuzz.lock; together they are environments.
    "dev": [
        *("pyproject.toml", "--extra", "dev", "--extra", "hdfs"),
        *("--constraint", "requirements/run.lock"),
    ],
    "fuzz": ["pyproject.toml", "--extra", "fuzz", "--constraint", "requirements/run.lock"],
}
_BESIDE_RUN: Final = frozenset({"dev", "fuzz"})
_HEADER: Final = "# Written by scripts/lock from {source}. Install with --require-hashes.\n"


def write_lock(uv: str, name: str, *, upgrade: bool) -> None:
    """Write `requirements/<name>.lock`. Raises `SetupError` when it cannot be resolved."""
    target = Path("requirements") / f"{name}.lock"
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / target.name
        if target.exists() and not upgrade:
            output.write_text(target.read_text())  # pins to keep
        argv = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
        argv += ["--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
        argv += ["--no-annotate", "--output-file", str(output), *_SOURCES[name]]
        if subprocess.run(argv, cwd=REPOSITORY, env=_environment(), check=False).returncode != 0:
            raise SetupError(f"{target} could not be resolved")
        header = _HEADER.format(source=_SOURCES[name][0])
        text = "".join(line for line in output.read_text().splitlines(True) if line[0] != "#")
    if name in _BESIDE_RUN:
        text = without(text, Path("requirements/run.lock").read_text())
    target.write_text(header + text)
    say(f"{target}: {text.count('==')} packages")


def without(text: str, other: str) -> str:
    """Return the lock `text` less the requirements that `other` has too."""
    known = set(requirements(other))
    return "".join(one for one in requirements(text) if one not in known)


def requirements(text: str) -> list[str]:
    """Split a lock into its requirements, each with its lines of hashes; comments are dropped."""
    found: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if line.startswith(" ") and found:
            found[-1] += line
        else:
            found.append(line)
    return found


def _environment() -> dict[str, str]:
    # uv brings its own certificates; a machine behind a proxy with its own has them in pip's.
    certificates = os.environ.get("PIP_CERT")
    return {**os.environ, **({"SSL_CERT_FILE": certificates} if certificates else {})}


def main() -> int:
    """Run the command line; return its exit status."""
    os.chdir(REPOSITORY)
    try:
        with only_one(cache_dir() / "setup.lock"):
            program = str(uv.install())
            for name in _SOURCES:
                write_lock(program, name, upgrade="--upgrade" in sys.argv[1:])
    except SetupError as error:
        say(f"error: {error}")
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
