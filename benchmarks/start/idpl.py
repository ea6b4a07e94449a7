"""The job that is measured: examples/idpl with a dozen and a half real packages and a checkpoint.

Its network is made as large as a checkpoint of some hundred megabytes wants, its pictures so small
that the first step of it is over in about a second of a processor: a start is measured here, not a
training. What the job renders for itself is rendered before: it stands for data that is elsewhere.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.images.idpl import recipe
from benchmarks.images.recipe import built_image
from benchmarks.images.torch_root import entered
from benchmarks.start.workload import INDEX, Mount, Workload
from bootseer.errors import HostError, RemoteError
from tooling.machine import architecture
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import doing, say

_PYTHON: Final = "3.13"
_EXAMPLE: Final = REPOSITORY / "examples" / "idpl"
_REQUIREMENTS: Final = (
    _EXAMPLE / "requirements.txt",
    Path(__file__).with_name("requirements.txt"),
)
_CLIENT: Final = ("click", "zstandard", "pyyaml", "aiohttp", "cachetools", "google-crc32c", "isal")
"""What `bootseer deps` and `bootseer.stage` want in the container, besides Bootseer."""
_OURS: Final = ("bootseer", "depsnap", "snapshotter")
_MODULES: Final = (
    "scipy.signal",
    "pandas",
    "pyarrow.parquet",
    "sklearn.cluster",
    "skimage.transform",
    "matplotlib.pyplot",
    "cv2",
    "numba",
    "transformers",
    "torch.utils.tensorboard",
    "jsonschema",
)
_SETTINGS: Final = (
    "height=16",
    "width=32",
    "source.count=12",
    "target.count=12",
    "evaluation.count=2",
    "training.batch=2",
    "training.log_every=1",
)
_WIDTH: Final = 320
_ONE_STEP: Final = """
import sys
from pathlib import Path
from idpl.config import read_config
from idpl.together import join
from idpl.training import loop, sets
from idpl.training.progress import ProgressLine
from idpl.training.stages import no_stage
line = ProgressLine(quiet=True)
config = read_config(Path("configs/scenes.yaml"), tuple(sys.argv[2:]))
found = sets.open_sets(config, line.show, line.say)
around = loop.Surroundings(join("cpu"), line, no_stage, until=1)
loop.train(config, found, Path(sys.argv[1]), around)
"""


def idpl(width: int = _WIDTH) -> Workload:
    """Return the job, everything it is made of built or downloaded first (some minutes, once).

    Raises:
        HostError: it cannot be built here.
        RemoteError: packages cannot be downloaded.
    """
    with doing("the image of examples/idpl"):
        image = built_image(recipe(), say)
    own = cache_dir() / "startup"
    own.mkdir(exist_ok=True)
    wheels, client = download_wheels(own, *_REQUIREMENTS), client_packages(own)
    settings = (*_SETTINGS, f"network.width={width}")
    checkpoint, scenes = _trained(own, settings)
    return Workload(
        name="idpl",
        layout=f"oci:{image.layout}:{image.name}",
        wheels=wheels,
        install=_install(),
        modules=_MODULES,
        command=_train(settings, checkpoint_every=100_000),
        out="/runs/idpl",
        checkpoint=checkpoint,
        client="/opt/bootseer",
        mounts=(
            Mount(client, "/opt/bootseer", writable=True),
            Mount(scenes, "/scenes"),
            *(Mount(file, _in_container(file)) for file in _REQUIREMENTS),
        ),
        variables={"IDPL_CACHE": "/scenes", "HOME": "/root"},
    )


def _in_container(requirements: Path) -> str:
    return f"/requirements/{requirements.parent.name}.txt"


def _install() -> tuple[str, ...]:
    files = [word for file in _REQUIREMENTS for word in ("-r", _in_container(file))]
    options = ("--break-system-packages", "--root-user-action=ignore", "--no-cache-dir", "-q")
    index = ("--index-url", INDEX, "--trusted-host", "192.0.2.1")
    return ("python3", "-m", "pip", "install", *options, *index, *files)


def _train(settings: Sequence[str], checkpoint_every: int) -> tuple[str, ...]:
    changes = [*settings, f"training.checkpoint_every={checkpoint_every}"]
    words = [word for change in changes for word in ("--set", change)]
    return ("idpl", "train", "--out", "/runs/idpl", *words)


def download_wheels(own: Path, *requirements: Path) -> Path:
    """Return the directory below `own` with all wheels that the image's Python installs for files
    of requirements, downloaded once. RemoteError if they cannot be.
    """
    texts = "".join(file.read_text() for file in requirements)
    wheels = own / f"wheels-{_hash(texts)}"
    if not wheels.exists():
        with doing("wheels of its requirements (once)"):
            files = [word for file in requirements for word in ("-r", str(file))]
            _pip("download", "-d", wheels, *files)
    return wheels


def client_packages(own: Path) -> Path:
    """Return a directory below `own` with Bootseer for the image's Python, as a node gives it to
    containers. RemoteError if what it needs cannot be downloaded.
    """
    packages = own / f"client-{_hash(' '.join(_CLIENT))}"
    if not packages.exists():
        with doing("Bootseer's own packages for the container (once)"):
            _pip("install", "--target", packages, *_CLIENT)
    for name in _OURS:
        shutil.copytree(
            REPOSITORY / name,
            packages / name,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    return packages


def _pip(verb: str, option: str, target: Path, *wanted: str) -> None:
    incomplete = target.with_suffix(".new")
    shutil.rmtree(incomplete, ignore_errors=True)
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[architecture()]
    tags = ("2_28", "2_27", "2_24", "2_17", "2_5")
    platforms = [f"manylinux_{tag}_{machine}" for tag in tags] + [f"manylinux2014_{machine}"]
    options = ["--only-binary=:all:", "--python-version", _PYTHON, "--implementation", "cp"]
    options += [word for tag in platforms for word in ("--platform", tag)]
    argv = [sys.executable, "-m", "pip", verb, "-q", *options, option, str(incomplete), *wanted]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RemoteError(f"pip {verb}: {done.stderr.strip().splitlines()[-1]}")
    incomplete.rename(target)


def _trained(own: Path, settings: Sequence[str]) -> tuple[Path, Path]:
    """Return a directory with the checkpoint of one step, and one with rendered scenes."""
    source = "".join(path.read_text() for path in sorted((_EXAMPLE / "idpl").rglob("*.py")))
    made = own / f"run-{_hash(source + ' '.join(settings))}"
    if not made.exists():
        with doing("a checkpoint (once)"):
            _train_once(made, settings)
    return made / "run" / "checkpoints", made / "scenes"


def _train_once(made: Path, settings: Sequence[str]) -> None:
    incomplete = made.with_suffix(".new")
    shutil.rmtree(incomplete, ignore_errors=True)
    incomplete.mkdir()
    out, scenes = incomplete / "run", incomplete / "scenes"
    environment = [f"PYTHONPATH={_EXAMPLE}", f"IDPL_CACHE={scenes}", "PYTHONDONTWRITEBYTECODE=1"]
    script = f'cd {_EXAMPLE} && exec env {" ".join(environment)} python3 -c "$0" "$@"'
    changes = [*settings, "training.checkpoint_every=100000"]
    argv = [*entered([_EXAMPLE, incomplete]), "sh", "-c", script, _ONE_STEP, str(out), *changes]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"the checkpoint cannot be made: {done.stderr.strip()[-400:]}")
    incomplete.rename(made)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
