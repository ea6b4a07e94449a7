"""Runs the tests of examples/idpl with another Python than ours.

That has not our environment's packages; pytest, which is plain Python, is lent to it.
"""

import importlib
import subprocess
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "idpl"
PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")


def lend(directory: Path) -> Path:
    """Fill a directory with the packages with which another Python runs pytest; return it."""
    directory.mkdir()
    for name in PYTEST:
        found = Path(str(importlib.import_module(name).__file__))
        source = found.parent if found.name == "__init__.py" else found
        (directory / source.name).symlink_to(source)
    return directory


def run_tests(lent: Path, scratch: Path, before: list[str]) -> None:
    """Run them all; `before`: the words that start a program in the other Python's tree."""
    argv = [
        *before,
        "env",
        f"PYTHONPATH={lent}",
        "PYTHONDONTWRITEBYTECODE=1",
        "OMP_NUM_THREADS=1",
        "/usr/bin/python3",
        "-m",
        "pytest",
        "-q",
        f"--config-file={EXAMPLE / 'pytest.ini'}",
        f"--rootdir={EXAMPLE}",
        f"--basetemp={scratch / 'tests'}",
        str(EXAMPLE / "tests"),
    ]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
