"""examples/idpl passes its own tests, with the PyTorch of this Debian and with that of Debian 13.

Neither has our environment's packages; pytest, which is plain Python, is lent to both.
"""

import importlib
import subprocess
from pathlib import Path

import pytest

from benchmarks.images.torch_root import entered

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "idpl"
PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of packages with which another Python runs pytest."""
    directory = tmp_path_factory.mktemp("lent")
    for name in PYTEST:
        found = Path(str(importlib.import_module(name).__file__))
        source = found.parent if found.name == "__init__.py" else found
        (directory / source.name).symlink_to(source)
    return directory


def run_tests(lent: Path, scratch: Path, before: list[str]) -> None:
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


def test_with_this_machines_pytorch(lent: Path, tmp_path: Path) -> None:
    run_tests(lent, tmp_path, [])


@pytest.mark.containers
def test_with_debian_13s_pytorch(lent: Path, tmp_path: Path) -> None:
    packages = Path(str(pytest.__file__)).parents[1]
    run_tests(lent, tmp_path, entered([EXAMPLE, lent, packages, tmp_path]))
