"""A job that is started in seconds: this machine's programs in a small image, one wheel."""

import os
import random
import sys
from pathlib import Path
from typing import Any

from depsnap_world import make_wheel
from small_image import base_tree, data_tree

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout
from benchmarks.start.workload import INDEX, Mount, Workload
from tooling.places import REPOSITORY

_TRAINS = '''
"""Reads a checkpoint, and says how its first step was."""
import hashlib, json, pathlib, sys, time
import alpha, bootseer
out = pathlib.Path(sys.argv[1])
with bootseer.stage("checkpoint_load"):
    data = (out / "checkpoints" / "step-1" / "tensors").read_bytes()
size = sum(len(path.read_bytes()) for path in pathlib.Path("/data").rglob("file-*"))
with bootseer.stage("first_step"):
    loss = int(hashlib.sha256(data).hexdigest()[:8], 16) + alpha.VALUE + size
(out / "metrics.jsonl").write_text(json.dumps({"step": 2, "loss": loss}) + chr(10))
print(f"{time.time():.3f} first_step done (0.01 s)", file=sys.stderr, flush=True)
time.sleep(600)
'''


def tiny_job(directory: Path) -> Workload:
    """Make the job below `directory`."""
    layout = _image(directory)
    wheels = directory / "wheels"
    files = {"alpha/__init__.py": b"VALUE = 1\n", "alpha/data.bin": os.urandom(6_000_000)}
    make_wheel(wheels, "alpha", "1.0", files)
    (directory / "code").mkdir()
    (directory / "code/tiny_trainer.py").write_text(_TRAINS)
    checkpoint = directory / "checkpoints"
    (checkpoint / "step-1").mkdir(parents=True)
    (checkpoint / "step-1/tensors").write_bytes(random.Random(1).randbytes(12 << 20))
    options = ("--no-cache-dir", "-q", "--target", "/opt/app", "--index-url", INDEX)
    pip = (sys.executable, "-m", "pip", "install", *options, "--trusted-host", "192.0.2.1")
    machine = {"/usr": "/usr", "/usr/lib": "/lib", "/usr/lib64": "/lib64"}
    machine |= {str(REPOSITORY): str(REPOSITORY), sys.prefix: sys.prefix}
    return Workload(
        name="tiny",
        layout=f"oci:{layout}:tiny",
        wheels=wheels,
        install=(*pip, "alpha==1.0"),
        modules=("alpha",),
        command=("tiny_trainer", "/runs/tiny"),
        out="/runs/tiny",
        checkpoint=checkpoint,
        client=str(REPOSITORY),
        python=sys.executable,
        roots=("/opt/app",),
        mounts=(
            *(Mount(Path(source), target) for source, target in machine.items()),
            Mount(directory / "code", "/code"),
        ),
        variables={"PYTHONPATH": "/opt/app:/code", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def _image(directory: Path) -> Path:
    base = base_tree(directory / "base")
    (base / "opt/app").mkdir(parents=True)
    data_tree(directory / "data", megabytes=2)
    layout = OciLayout(directory / "layout")
    for tree in (base, directory / "data"):
        layout.add_layer(tree.name, LayerTar(tree).write)
    config: dict[str, Any] = {"Cmd": ["/bin/ls"], "Env": ["PATH=/bin"]}
    created = "2026-01-01T00:00:00Z"
    layout.finish(name="tiny", architecture="amd64", config=config, created=created)
    return layout.root
