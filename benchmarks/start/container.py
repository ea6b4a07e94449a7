"""The job's container: its mounts, its variables, how its packages come."""

import json
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from benchmarks.lab.containerd import Containerd
from benchmarks.start import job
from benchmarks.start.place import Place
from benchmarks.start.ways import Packages
from benchmarks.start.workload import INDEX, Mount, Workload

_EVENTS: Final = "/events"
_START: Final = "/start"
_PODS: Final = "/pods"
_FRESH_S: Final = 1_000_000_000
"""A snapshot that a state has kept for a month is none the worse for a measurement."""
FULL_STORE: Final = "/full"
"""Where a container that is to find no room for a snapshot has its store."""
_MAIN: Final = "from bootseer.cli.main import main; main()"


class Install(StrEnum):
    """How the packages come."""

    PIP = "pip"
    MOUNT = "mount"
    """By a snapshot, mounted by the node's daemon."""
    CAPTURE = "capture"
    """Installed, and kept as the snapshot."""
    KEEP = "keep"
    """By a snapshot of another store, which is full: there is none, and none can be kept."""


def install_of(packages: Packages) -> Install:
    """Return what a way says."""
    return Install.MOUNT if packages is Packages.SNAPSHOT else Install.PIP


def install_words(place: Place, install: Install) -> list[str]:
    """Return the command that brings the packages, in the container."""
    work = place.job
    step = [word.replace(INDEX, place.index) for word in work.install]
    if install is Install.PIP:
        return step
    own = [
        "capture" if install is Install.CAPTURE else "run",
        "--name",
        work.name,
        "--config",
        f"{_START}/bootseer.yaml",
    ]
    mount = ["--restore", "mount", "--daemon", f"{_PODS}/deps.sock"]
    daemon = mount if install is Install.MOUNT else []
    store = ["--store", f"file://{FULL_STORE}"] if install is Install.KEEP else []
    roots = [word for root in work.roots for word in ("--root", root)]
    code = f"import sys; sys.path.insert(0, {work.client!r}); {_MAIN}"
    return [work.python, "-c", code, "deps", *own, *daemon, *store, *roots, "--", *step]


def create(
    place: Place,
    containerd: Containerd,
    *,
    reference: str,
    snapshotter: str,
    directory: Path,
    pods: Path,
    checkpoint: Path,
    variables: Mapping[str, str],
    events: Path,
    install: Install,
    more: Sequence[Mount] = (),
) -> str:
    """Make the container of a start below `directory`; return its name. HostError."""
    work = place.job
    (directory / "out" / "checkpoints").mkdir(exist_ok=True)
    _write_settings(place, directory / "start", install)
    mounts = [
        *work.mounts,
        *more,
        Mount(directory / "start", _START),
        Mount(pods, _PODS),
        Mount(events, _EVENTS, writable=True),
        Mount(directory / "out", work.out, writable=True),
        Mount(checkpoint, f"{work.out}/checkpoints"),
    ]
    options = ["--snapshotter", snapshotter, "--net-host"]
    options += ["--annotation", f"bootseer.deps={work.name}"]
    for mount in mounts:
        mode = "rw" if mount.writable else "ro"
        what = f"type=bind,src={mount.source},dst={mount.target},options=rbind:{mode}"
        options += ["--mount", what]
    for name, text in {**variables, **work.variables, "BOOTSEER_EVENTS": _EVENTS}.items():
        options += ["--env", f"{name}={text}"]
    made = f"start-{time.monotonic_ns()}"
    command = [work.python, f"{_START}/job.py", f"{_START}/settings.json"]
    containerd.ctr("containers", "create", *options, reference, made, *command)
    return made


def _write_settings(place: Place, directory: Path, install: Install) -> None:
    """Write what the container gets to know: the program, and what it is to do."""
    directory.mkdir(exist_ok=True)
    (directory / "job.py").write_text(Path(job.__file__).read_text())
    (directory / "settings.json").write_text(json.dumps(_settings(place, install)))
    (directory / "bootseer.yaml").write_text(
        f"registry:\n  plain_http: ['{place.server.host}']\n"
        f"deps:\n  store: {place.snapshots}\n  fresh: {_FRESH_S}\n"
    )


def _settings(place: Place, install: Install) -> dict[str, Any]:
    work: Workload = place.job
    return {
        "install": install_words(place, install),
        "modules": list(work.modules),
        "command": list(work.command),
        "client": work.client,
    }
