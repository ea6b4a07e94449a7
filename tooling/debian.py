"""Debian packages that are needed, how each is recognised, and how the missing ones get installed.

A package is looked for by what it brings (a program, a file), not by dpkg's word, so that a program
installed another way counts as well.
"""

import ctypes.util
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tooling.progress import doing
from tooling.running import SetupError, run_logged

_DEBIAN_PYTHON: Final = Path("/usr/lib/python3/dist-packages")
_SBIN: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Package:
    """One Debian package. `present` says whether this machine has what it brings."""

    name: str
    present: Callable[[], bool]
    purposes: frozenset[str]
    """For what it is needed: `venv` (always), `test`, `demo`, `bench`, `node`."""


def add_sbin_to_path() -> None:
    """Let administrators' programs be found when a plain user's PATH leaves them out."""
    path = os.environ.get("PATH", "/usr/bin:/bin").split(":")
    os.environ["PATH"] = ":".join([*path, *(one for one in _SBIN if one not in path)])


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _file(path: str | Path) -> Callable[[], bool]:
    return lambda: Path(path).exists()


def _module(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


def _gss() -> bool:
    return ctypes.util.find_library("gssapi_krb5") is not None


_VENV = frozenset({"venv"})
_RUNS = frozenset({"test", "demo", "bench"})
_NODE = _RUNS | {"node"}
_IMAGES = frozenset({"demo", "bench"})
_TEST = frozenset({"test"})
_BENCH = frozenset({"bench"})

PACKAGES: Final = (
    Package("python3-venv", _module("ensurepip"), _VENV),
    Package("python3-dev", _file(Path(sysconfig.get_path("include")) / "Python.h"), _VENV),
    Package("gcc", _program("cc"), _VENV),
    Package("pkg-config", _program("pkg-config"), _VENV),
    Package("libfuse3-dev", _file("/usr/include/fuse3/fuse_lowlevel.h"), _VENV),
    Package("libc6-dev", _file("/usr/include/stdio.h"), _VENV),
    Package("ca-certificates", _file("/etc/ssl/certs/ca-certificates.crt"), _VENV),
    Package("fuse3", _program("fusermount3"), _NODE),
    Package("erofs-utils", _program("fsck.erofs"), _RUNS),
    Package("runc", _program("runc"), _RUNS),
    Package("docker-registry", _program("docker-registry"), _RUNS),
    Package("iproute2", _program("tc"), _RUNS),
    Package("mount", _program("losetup"), _RUNS),
    Package("e2fsprogs", _program("mkfs.ext4"), _TEST),
    Package("xfsprogs", _program("mkfs.xfs"), _TEST),
    Package("fsverity", _program("fsverity"), _TEST),
    Package("zlib1g-dev", _file("/usr/include/zlib.h"), _TEST),
    Package("nginx", _program("nginx"), _TEST | _BENCH),
    Package("busybox-static", _program("busybox"), _TEST),
    Package("attr", _program("getfattr"), _TEST),
    Package("git", _program("git"), _TEST),
    Package("chromium", _program("chromium"), _TEST),
    Package("default-jre-headless", _program("java"), _TEST | _BENCH),
    Package("maven", _program("mvn"), _TEST | _BENCH),
    Package("krb5-kdc", _program("krb5kdc"), _TEST),
    Package("krb5-admin-server", _program("kadmin.local"), _TEST),
    Package("krb5-user", _program("kinit"), _TEST),
    Package("libgssapi-krb5-2", _gss, _TEST),
    Package("faketime", _program("faketime"), _TEST),
    Package("systemd", _program("systemd-analyze"), _TEST),
    Package("shellcheck", _program("shellcheck"), _TEST),
    Package("rsync", _program("rsync"), _TEST),
    Package("npm", _program("npm"), _TEST),
    Package("fio", _program("fio"), _TEST),
    # For Debian's own Python, which runs the tests of examples/idpl.
    Package("python3-torch", _file(_DEBIAN_PYTHON / "torch"), _TEST),
    Package("python3-yaml", _file(_DEBIAN_PYTHON / "yaml"), _TEST),
    Package("python3-pil", _file(_DEBIAN_PYTHON / "PIL"), _TEST),
    Package("debootstrap", _program("debootstrap"), _IMAGES | _TEST),
    Package(
        "debian-archive-keyring",
        _file("/usr/share/keyrings/debian-archive-keyring.gpg"),
        _IMAGES | _TEST,
    ),
    Package("skopeo", _program("skopeo"), _IMAGES | _TEST),
)


def missing(purpose: str, packages: Iterable[Package] = PACKAGES) -> list[Package]:
    """Return the packages that `purpose` needs and this machine lacks."""
    wanted = (p for p in packages if p.purposes & {"venv", purpose})
    return [package for package in wanted if not package.present()]


def install(packages: list[Package], log: Path) -> None:
    """Install packages with apt-get. Raises `SetupError` where that is impossible or fails."""
    names = [package.name for package in packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(
            f"missing on this machine: {', '.join(names)}\n"
            "Run this as root (or install the like of them), then try again:\n"
            f"  apt-get install -y --no-install-recommends {' '.join(names)}"
        )
    with doing(f"installing Debian packages: {' '.join(names)}"):
        _apt(["update"], log)
        _apt(["install", "-y", "--no-install-recommends", *names], log)
    importlib.invalidate_caches()
    still = [package.name for package in packages if not package.present()]
    if still:
        raise SetupError(f"installed, but still not found: {', '.join(still)} (is PATH right?)")


def _apt(arguments: list[str], log: Path) -> None:
    # Wait for another apt instead of failing: fresh machines run one of their own at boot.
    argv = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    run_logged(argv, log, what=f"apt-get {arguments[0]}", env=env)
