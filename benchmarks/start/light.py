"""A job for many nodes on one machine: it weighs little, so that links are measured and not the
processor that all nodes share.

Its image is the lower half of that of examples/idpl: Debian, Python, pip and NumPy. It installs
pandas, reads a checkpoint, and its first step is a product of matrices.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.images.idpl import recipe
from benchmarks.images.oci_layout import lower_layers
from benchmarks.images.recipe import built_image
from benchmarks.start import light_training
from benchmarks.start.idpl import client_packages, download_wheels
from benchmarks.start.workload import INDEX, Mount, Workload
from tooling.places import cache_dir
from tooling.progress import doing, say

_LAYERS: Final = 2
_CHECKPOINT: Final = 48 << 20
_REQUIREMENTS: Final = "pandas==2.2.3\n"


def light() -> Workload:
    """Return the job, everything it is made of built or downloaded first.

    Raises:
        HostError: it cannot be built here.
        RemoteError: packages cannot be downloaded.
    """
    own = cache_dir() / "startup"
    own.mkdir(exist_ok=True)
    with doing("the image of examples/idpl"):
        image = built_image(recipe(), say)
    layout = _made(own / f"light-{image.layout.name}", lambda new: _halve(image.layout, new))
    code = _made(own / "light-code", _write_requirements)
    (code / "light_training.py").write_text(Path(light_training.__file__).read_text())
    checkpoint = _made(own / f"light-checkpoint-{_CHECKPOINT}", _write_checkpoint)
    options = ("--break-system-packages", "--root-user-action=ignore", "--no-cache-dir", "-q")
    index = ("--index-url", INDEX, "--trusted-host", "192.0.2.1", "-r", "/code/requirements.txt")
    return Workload(
        name="light",
        layout=f"oci:{layout}:light",
        wheels=download_wheels(own, code / "requirements.txt"),
        install=("python3", "-m", "pip", "install", *options, *index),
        modules=("pandas",),
        command=("light_training", "/runs/light"),
        out="/runs/light",
        checkpoint=checkpoint,
        client="/opt/bootseer",
        mounts=(
            Mount(client_packages(own), "/opt/bootseer", writable=True),
            Mount(code, "/code"),
        ),
        variables={"PYTHONPATH": "/code", "HOME": "/root", "OPENBLAS_NUM_THREADS": "1"},
    )


def _made(target: Path, make: Callable[[Path], Any]) -> Path:
    """Return a directory, made first where it is not there."""
    if not target.exists():
        new = target.with_name(f"{target.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        make(new)
        new.rename(target)
    return target


def _halve(image: Path, new: Path) -> None:
    lower_layers(image, _LAYERS, new, "light")


def _write_requirements(new: Path) -> None:
    new.mkdir(exist_ok=True)
    (new / "requirements.txt").write_text(_REQUIREMENTS)


def _write_checkpoint(new: Path) -> None:
    (new / "step-1").mkdir(parents=True, exist_ok=True)
    (new / "step-1" / "tensors").write_bytes(random.Random(1).randbytes(_CHECKPOINT))
