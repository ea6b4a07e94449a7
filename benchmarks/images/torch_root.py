"""A Debian tree with PyTorch 2, for programs that save and load checkpoints. About 1 GB.

Built once into `<cache>/images/torch-<hash>` and used from there; `python -m
benchmarks.images.torch_root` builds it. It is Debian 13 also on older machines: before it Debian
had no PyTorch that maps checkpoints into memory.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.images import chroot
from benchmarks.images.apt_sources import AptSource, debian_source
from bootseer.errors import BootseerError, HostError
from tooling.machine import architecture
from tooling.places import cache_dir
from tooling.progress import doing

_SUITE: Final = "trixie"
_PACKAGES: Final = (
    "python3-torch",
    "python3-numpy",
    "python3-safetensors",
    "python3-pandas",
    # What `bootseer-hdfs://` needs there.
    "python3-aiohttp",
    "python3-cachetools",
    "python3-fsspec",
)
_RECIPE: Final = "1"  # raised by hand when the way of building changes what is built


def torch_root() -> Path:
    """Return the tree, built first where this machine does not have it yet (minutes).

    Safe when two ask at once: the second waits. Raises `HostError` where it cannot be built.
    """
    source = AptSource(debian_source().uri, _SUITE, ("main",))
    images = cache_dir() / "images"
    images.mkdir(parents=True, exist_ok=True)
    parts = [_RECIPE, _SUITE, architecture(), repr(_PACKAGES)]
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    target = images / f"torch-{name}"
    with (images / "torch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with doing("Debian with PyTorch (once, some minutes)"):
                _build(source, target)
    return target


def _build(source: AptSource, target: Path) -> None:
    if os.geteuid() != 0:
        raise HostError("building a Debian tree needs root", hint="run it as root once")
    log = target.with_suffix(".log")
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as temporary:
        scratch = Path(temporary)
        base, upper, tree = scratch / "base", scratch / "upper", scratch / "tree"
        chroot.debootstrap(source, base, log)
        with chroot.step([base], upper, scratch) as merged:
            chroot.apt_install(merged, list(_PACKAGES), log)
            chroot.run(["cp", "-a", "--one-file-system", f"{merged}/.", str(tree)], log)
        for leftover in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(tree / leftover, ignore_errors=True)
        tree.rename(target)


def entered(shared: Sequence[Path]) -> list[str]:
    """Return what comes before a command to run it in the tree, which sees these directories.

    Each is at the same path there as here. The mounts that this takes are seen by nobody else.
    """
    root = shlex.quote(str(torch_root()))
    steps = [
        "mount --make-rprivate /",
        f"mount -t tmpfs tmpfs {root}/tmp",
        f"mount --rbind /dev {root}/dev",
        f"mount -t proc proc {root}/proc",
    ]
    for one in map(shlex.quote, map(str, shared)):
        steps += [f"mkdir -p {root}{one}", f"mount --rbind {one} {root}{one}"]
    script = " && ".join([*steps, f'exec chroot {root} "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def main() -> int:
    """Build the tree and say where it is."""
    try:
        root = torch_root()
    except BootseerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(root)
    subprocess.run(["du", "-sh", str(root)], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
