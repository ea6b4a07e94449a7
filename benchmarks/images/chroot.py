"""A Debian tree built step by step, one overlay upper directory a step, as images are built."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.images.apt_sources import AptSource
from bootseer.errors import HostError

NETWORK_FILES = frozenset({"etc/resolv.conf", "etc/hosts", "etc/hostname"})
"""Files that the build borrows from this machine; the runtime gives a container its own."""

BUILD_LEFTOVERS = NETWORK_FILES | {
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log",
    "tmp",
    "run",
    "proc",
    "sys",
    "dev",
}
"""What the build leaves behind and an image does not want (see `LayerTar.leave_out`)."""

_ENV = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def _environment() -> Mapping[str, str]:
    return _ENV | {name: os.environ[name] for name in _PROXIES if name in os.environ}


def run(argv: list[str], log: Path) -> None:
    """Run a program, its output appended to `log`. Raises `HostError` with the log's end."""
    with log.open("ab") as output:
        result = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            check=False,
        )
    if result.returncode != 0:
        tail = " | ".join(log.read_text(errors="replace").splitlines()[-4:])
        raise HostError(
            f"{argv[0]} failed with {result.returncode}: {tail}", hint=f"the whole output: {log}"
        )


def debootstrap(source: AptSource, tree: Path, log: Path) -> None:
    """Unpack Debian's minimal system into `tree`. Takes about a minute. Raises `HostError`."""
    tree.mkdir(parents=True)
    components = ",".join(source.components)
    run(
        [
            "debootstrap",
            "--variant=minbase",
            "--merged-usr",
            f"--components={components}",
            source.suite,
            str(tree),
            source.uri,
        ],
        log,
    )
    dpkg_d = tree / "etc/dpkg/dpkg.cfg.d"
    dpkg_d.mkdir(parents=True, exist_ok=True)
    (dpkg_d / "docker").write_text("force-unsafe-io\n")
    (tree / "etc/apt/apt.conf.d/80-image").write_text(
        'APT::Install-Recommends "false";\nAcquire::Languages "none";\n'
    )


@contextlib.contextmanager
def step(lowers: list[Path], upper: Path, scratch: Path) -> Iterator[Path]:
    """Give a tree of `lowers` (bottom first) whose changes land in `upper`.

    proc is mounted and the name service works in it. Everything is unmounted on the way out.
    """
    merged, work = scratch / "merged", scratch / "work"
    for directory in (merged, work, upper):
        directory.mkdir(parents=True, exist_ok=True)
    lower = ":".join(str(path) for path in reversed(lowers))
    # Without redirects and metacopy an upper directory says all in plain files and whiteouts.
    options = f"lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off,metacopy=off"
    with contextlib.ExitStack() as undo:
        _mount(undo, ["-t", "overlay", "-o", options, "overlay", str(merged)], merged)
        for name in ("resolv.conf", "hosts"):
            shutil.copyfile(Path("/etc") / name, merged / "etc" / name)
        _mount(undo, ["-t", "proc", "proc", str(merged / "proc")], merged / "proc")
        yield merged
    shutil.rmtree(work)


def _mount(undo: contextlib.ExitStack, arguments: list[str], target: Path) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise HostError(
            f"mount on {target} failed: {error.stderr.strip()}",
            hint="building an image needs root, overlayfs, and a cache on a disk file system",
        ) from error
    undo.callback(subprocess.run, ["umount", "--lazy", str(target)], check=False)


def apt_install(merged: Path, packages: list[str], log: Path) -> None:
    """Install Debian packages into the tree. Raises `HostError`."""
    run(["chroot", str(merged), "apt-get", "-q", "update"], log)
    run(["chroot", str(merged), "apt-get", "-q", "-y", "install", *packages], log)
    run(["chroot", str(merged), "apt-get", "-q", "clean"], log)
