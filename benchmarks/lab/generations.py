"""Older containerds, which are still on many nodes: programs out of Debian's packages, unpacked.

They are fetched by apt, which checks signatures, into the cache and are never installed.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.images.apt_sources import choose, machine_sources
from bootseer.errors import HostError
from tooling.containerd import PROGRAMS
from tooling.locking import only_one
from tooling.places import cache_dir
from tooling.progress import doing
from tooling.running import SetupError, run_logged

SUITES: Final[Mapping[str, str]] = {"1.6": "bookworm", "1.7": "trixie"}
"""Which release of Debian has which containerd."""
_HERE: Final = "bookworm"
"""The release whose source this machine has; the others are next to it."""
_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"


def programs_of(generation: str) -> Path:
    """Return the directory with containerd, ctr and the shim of a generation, fetched if needed.

    Raises `HostError`.
    """
    place = cache_dir() / f"containerd-{generation}-debian"
    with only_one(cache_dir() / "containerd-debian.lock"):
        if not (place / "usr/bin/containerd").exists():
            with doing(f"fetching containerd {generation} from Debian {SUITES[generation]}"):
                _fetch(SUITES[generation], place)
    found = place / "usr/bin"
    if missing := [name for name in PROGRAMS if not (found / name).exists()]:
        raise HostError(f"Debian's containerd {generation} lacks {', '.join(missing)}")
    return found


def _fetch(suite: str, place: Path) -> None:
    work = place.with_name(f"{place.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    for name in ("lists/partial", "archives/partial", "debs", "tree"):
        (work / name).mkdir(parents=True)
    source = choose(machine_sources(), _HERE)
    (work / "sources.list").write_text(
        f"deb [signed-by={_KEYRING}] {source.uri} {suite} {' '.join(source.components)}\n"
    )
    (work / "status").touch()
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": work / "lists",
        "Dir::State::Status": work / "status",
        "Dir::Cache": work,
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    log = cache_dir() / "logs" / f"{place.name}.log"
    try:
        run_logged([*apt, "update"], log, what=f"apt-get update for {suite}")
        argv = ["sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", str(work / "debs")]
        run_logged([*argv, *apt, "download", "containerd"], log, what="apt-get download containerd")
    except SetupError as error:
        raise HostError(str(error)) from error
    for package in (work / "debs").glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, work / "tree"], check=True)
    shutil.rmtree(place, ignore_errors=True)
    (work / "tree").rename(place)
    shutil.rmtree(work, ignore_errors=True)
