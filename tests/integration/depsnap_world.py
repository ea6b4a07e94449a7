"""A virtual environment, wheels made here, a store, and `bootseer deps` as its users start it."""

import base64
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tooling.locking import only_one
from tooling.places import cache_dir

REPOSITORY = Path(__file__).resolve().parents[2]


_START = "from bootseer.cli.main import main; main()"


def make_wheel(directory: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """Write a wheel of pure Python."""
    info = f"{name}-{version}.dist-info"
    contents = dict(files)
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    )
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    rows = [f"{path},{_hash(data)},{len(data)}\n" for path, data in contents.items()]
    contents[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in contents.items():
            archive.writestr(path, data)
    return wheel


def _hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


@dataclass(frozen=True)
class DepsWorld:
    """A node's directories, and what is in them."""

    home: Path
    pristine: Path
    """A fresh virtual environment that is copied to `venv`."""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        """The environment that is installed into."""
        return self.home / "venv"

    @property
    def site(self) -> Path:
        """Its packages."""
        tag = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.venv / "lib" / tag / "site-packages"

    @property
    def store(self) -> Path:
        """The directory with the snapshots."""
        return self.home / "store"

    @property
    def wheels(self) -> Path:
        """The directory with wheels."""
        return self.home / "wheels"

    def fresh(self) -> None:
        """Begin anew with an empty environment, as another node would."""
        shutil.rmtree(self.venv, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.pristine), str(self.venv)], check=True)
        for script in (self.venv / "bin").glob("pip*"):
            if script.read_bytes().startswith(b"#!"):
                body = script.read_text().split("\n", 1)[1]
                script.write_text(f"#!{self.venv}/bin/python\n{body}")

    def environment(self) -> dict[str, str]:
        """Return the variables that a step runs with."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        return kept | {
            "PATH": f"{self.venv}/bin:{os.environ['PATH']}",
            "PYTHONPATH": "",
            "VIRTUAL_ENV": str(self.venv),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "XDG_CACHE_HOME": str(self.home / "cache-home"),
            **self.variables,
        }

    def deps(
        self, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `bootseer deps` with the store; arguments as on the command line."""
        return self.deps_as((), *arguments, variables=variables)

    def deps_as(
        self, before: Sequence[str], *arguments: str, variables: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `bootseer deps` by a program that these words start."""
        return subprocess.run(
            [*before, *self.command(*arguments)],
            cwd=self.home,
            env=self.environment() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def command(self, verb: str, *rest: str) -> list[str]:
        """Return the words that start `bootseer deps` with the store."""
        code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); {_START}"
        own = ["deps", verb, "--store", f"file://{self.store}"]
        return [sys.executable, "-c", code, *own, *rest]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run an install step of job `job`; options first, then `--` and the command."""
        return self.deps("run", "--name", "job", *arguments)

    def install(
        self, *options: str, extra: tuple[str, ...] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Install `requirements.txt` with pip from the directory with wheels."""
        return self.run(*options, "--", *self.pip_install("-r", "requirements.txt", *extra))

    def pip_install(self, *words: str) -> tuple[str, ...]:
        """Return pip's command for this."""
        return ("pip", "install", "--no-index", "--find-links", str(self.wheels), *words)

    def python(self, code: str) -> str:
        """Return what the environment's Python prints."""
        done = subprocess.run(
            [self.venv / "bin/python", "-c", code],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def pip(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the environment's pip."""
        return subprocess.run(
            [self.venv / "bin/python", "-m", "pip", *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def heads(self) -> list[dict[str, object]]:
        """Return the heads of all snapshots, each less its first line, the digest of the rest."""
        files = sorted(self.store.glob("snapshots/*/*/*"))
        return [json.loads(file.read_bytes().partition(b"\n")[2]) for file in files]

    def packs(self) -> list[Path]:
        """Return the files of all packs."""
        return sorted(self.store.glob("packs/*/*"))


def make_world(home: Path, pristine: Path) -> DepsWorld:
    """Return a world with two wheels and a requirements file that names both."""
    world = DepsWorld(home, pristine)
    alpha = {"alpha/__init__.py": b"VALUE = 1\n", "alpha/data.bin": os.urandom(1 << 21)}
    make_wheel(world.wheels, "alpha", "1.0", alpha)
    beta = {"beta/__init__.py": b"VALUE = 2\n", "beta/sub/__init__.py": b""}
    make_wheel(world.wheels, "beta", "2.0", beta)
    (home / "requirements.txt").write_text("alpha==1.0\nbeta==2.0\n")
    world.fresh()
    return world


def make_pristine() -> Path:
    """Return a virtual environment with pip, made once for this Python: to be copied."""
    name = hashlib.sha256(f"{sys.base_prefix} {sys.version}".encode()).hexdigest()[:12]
    place = cache_dir() / f"tests-venv-{name}"
    with only_one(place.with_suffix(".lock")):
        if not place.exists():
            made = place.with_suffix(".new")
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", made], check=True, capture_output=True)
            made.rename(place)
    return place


SCRIPT = """set -e
mkdir -p "$1/package/sub"
echo VALUE > "$1/package/a"
echo "$RANDOM" > "$1/package/sub/b"
head -c 3000000 /dev/urandom > "$1/package/large"
ln -sf a "$1/package/link"
echo ran >> "$2/runs"
"""


class StepWorld(DepsWorld):
    """A world whose step is a script that writes into a plain directory."""

    @property
    def root(self) -> Path:
        """The directory that the script writes into."""
        return self.home / "root"

    def fresh(self) -> None:
        """Begin anew with an empty directory, as another node would."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()

    def step(self, *options: str, root: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the step with these options of `bootseer deps run`."""
        return self.run(*options, *self.words(root))

    def words(self, root: Path | None = None) -> tuple[str, ...]:
        """Return the last words of a command line about the step."""
        where = str(root or self.root)
        script = ("bash", str(self.home / "install.sh"), where, str(self.home))
        return ("--root", where, "--", *script)

    def runs(self) -> int:
        """Return how often the script ran."""
        file = self.home / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def in_place(self, root: Path | None = None) -> bool:
        """Say whether everything is as the script makes it."""
        package = (root or self.root) / "package"
        return (
            (package / "a").read_text() == "VALUE\n"
            and (package / "large").stat().st_size == 3_000_000
            and str((package / "link").readlink()) == "a"
        )

    def only(self, folder: str) -> Path:
        """Return a file in a folder of the store, the largest."""
        files = [path for path in (self.store / folder).rglob("*") if path.is_file()]
        return max(files, key=lambda path: path.stat().st_size)


def make_step_world(home: Path) -> StepWorld:
    """Return a world with a script, which has not run yet."""
    world = StepWorld(home, home / "none")
    (home / "install.sh").write_text(SCRIPT)
    world.fresh()
    return world


def own_root(root: Path, shared: Sequence[Path]) -> tuple[str, ...]:
    """Return the words that start a program with `root` for its root directory.

    It has the host's programs, read-only, and the `shared` directories at their paths; what it
    writes anywhere else lands below `root`.
    """
    places = " ".join(shlex.quote(str(path)) for path in shared)
    script = (
        f"mount --bind {root} {root} && cd {root} && "
        "mkdir -p bin lib lib64 usr etc root opt proc dev tmp var/lib var/tmp sys && "
        "for d in bin lib lib64 usr root opt proc dev sys; do [ -e /$d ] && mount --rbind /$d $d; "
        "mount -o remount,bind,ro $d 2>/dev/null; done; "
        f"for d in {places}; do mkdir -p .$d && mount --rbind $d .$d; done; "
        'exec chroot . "$@"'
    )
    return ("unshare", "-m", "sh", "-c", script, "sh")


def layered_root(upper: Path, shared: Sequence[Path]) -> tuple[str, ...]:
    """Return the words that start a program in the host's root directory with `upper` over it.

    As a container sees it: everything is there and can be written to, and the root is an overlay.
    Homes and the like are empty but for the `shared` directories.
    """
    places = " ".join(shlex.quote(str(path)) for path in shared)
    root, work = upper.with_name(f"{upper.name}.root"), upper.with_name(f"{upper.name}.work")
    script = (
        f"mkdir -p {root} {work} {upper}; options=lowerdir=/,upperdir={upper},workdir={work}; "
        f"mount -t overlay -o $options overlay {root} && cd {root} && "
        "for d in home mnt opt root run srv tmp var/tmp work; do "
        "[ -d $d ] && mount -t tmpfs tmpfs $d; done; "
        "for d in proc dev sys; do mount --rbind /$d $d; done; "
        f"for d in {places}; do mkdir -p .$d && mount --rbind $d .$d; done; "
        'exec chroot . "$@"'
    )
    return ("unshare", "-m", "sh", "-c", script, "sh")
