"""What is never part of a snapshot, wherever it is."""

import pytest

from depsnap.capture.left_out import left_out

VARIABLES = {"PIP_CACHE_DIR": "/srv/wheels", "TORCH_EXTENSIONS_DIR": "/srv/torch"}
NEVER = [
    "tmp",
    "run",
    "proc",
    "var/log",
    "var/cache",
    "var/lib/apt/lists",
    "var/lib/dpkg/lock",
    "etc/ld.so.cache",
    "etc/resolv.conf",
    "root/.cache",
    "srv/wheels",
    "srv/torch",
    "root/.triton/cache",
    "root/.nv",
    "root/.npm/_cacache",
    "opt/conda/pkgs",
    "root/torch_extensions/py311/x/lock",
    "venv/.depsnap",
]
KEPT = [
    "usr/lib/python3/dist-packages/cache",
    "etc/passwd",
    "var/lib/dpkg/status",
    "opt/tmp",
    "venv/bin/cache.py",
    "srv/wheel",
    "root/.config",
    "opt/app/pkgs",
    "venv/lib/poetry.lock",
    "etc/ld.so.conf.d",
]


@pytest.mark.parametrize("path", NEVER)
def test_caches_and_what_belongs_to_this_machine_are_never_kept(path: str) -> None:
    assert left_out(VARIABLES).leaves_out(path, path.rpartition("/")[2])


@pytest.mark.parametrize("path", KEPT)
def test_what_only_looks_alike_is_kept(path: str) -> None:
    assert not left_out(VARIABLES).leaves_out(path, path.rpartition("/")[2])
