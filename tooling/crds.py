"""Definitions of resources that are not Kubernetes' own, for tests: pinned and hashed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tooling.golang import build_environment, find_go
from tooling.locking import only_one
from tooling.places import cache_dir
from tooling.progress import doing
from tooling.running import SetupError

_MODULE: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
_SUM: Final = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
_FILE: Final = "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"
_OLDEST_GO: Final = (1, 22)


def ensure() -> Path:
    """Return the definition of a PodMonitor, a YAML file; fetched where it is not there.

    Raises `SetupError`.
    """
    name = _MODULE.rpartition("@")[2]
    with only_one(cache_dir() / "crds.lock"):
        place = cache_dir() / f"podmonitor-{name}.yaml"
        if not place.exists():
            with doing(f"the definition of a PodMonitor ({name})"):
                _fetch(place)
    return place


def _fetch(place: Path) -> None:
    go = find_go(_OLDEST_GO, "the definition of a PodMonitor")
    work = place.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        answer = subprocess.run(
            [go.program, "mod", "download", "-json", _MODULE],
            cwd=work,
            env={**os.environ, **build_environment(work)},
            capture_output=True,
            text=True,
            check=False,
        )
        said = json.loads(answer.stdout or "{}")
        if answer.returncode or said.get("Sum") != _SUM:
            raise SetupError(f"{_MODULE} is not what it was: {said or answer.stderr.strip()}")
        shutil.copyfile(Path(said["Dir"]) / _FILE, place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
