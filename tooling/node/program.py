"""The program on a node: an environment below /opt/bootseer, switched by one symbolic link.

    /opt/bootseer/<key>/      a Python environment with Bootseer in it; never changes
    /opt/bootseer/current     the one in use
    /opt/bootseer/bin/bootseer

The environment before the current one stays: a daemon that runs may still import from it.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tooling import virtualenv
from tooling.node.files import File, Outcome, Tree, link
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import doing
from tooling.running import run_logged

HOME: Final = "/opt/bootseer"
_SOURCES: Final = ("bootseer", "snapshotter", "depsnap", "fuse_hdfs")
_PROJECT_FILES: Final = ("pyproject.toml", "README.md", "LICENSE")
_COMPLETE: Final = ".complete"

LAUNCHER: Final = File(
    f"{HOME}/bin/bootseer",
    """\
#!/bin/sh
# Bootseer's command: the environment in use, wherever this tree lies.
here=$(dirname "$(readlink -f "$0")")
exec "$here/../current/bin/python3" -P -c \\
  'import sys; from bootseer.cli.main import main; sys.argv[0] = "bootseer"; sys.exit(main())' "$@"
""",
    0o755,
)
COMMAND: Final = link("/usr/local/bin/bootseer", f"{HOME}/bin/bootseer")


def install(tree: Tree) -> Outcome:
    """Put the environment in place and make it the current one. Raises `SetupError`."""
    key = _key()
    target = tree.at(HOME) / key
    if not (target / _COMPLETE).exists() and not tree.dry:
        with doing(f"installing Bootseer into {target}"):
            _make(target)
    current = link(f"{HOME}/current", key)
    before = tree.at(current.path)
    previous = before.readlink().name if before.is_symlink() else key
    outcome = tree.put(current)
    if outcome == "written" and not tree.dry:
        _remove_old(tree, keep={key, previous})
    return outcome


def remove(tree: Tree) -> Outcome:
    """Remove everything below /opt/bootseer."""
    home = tree.at(HOME)
    if not home.exists():
        return "unchanged"
    if not tree.dry:
        shutil.rmtree(home)
    return "removed"


def _key() -> str:
    digest = hashlib.sha256(f"{sys.version} {sys.prefix}".encode())
    digest.update((REPOSITORY / "requirements" / "run.lock").read_bytes())
    for path in _source_files():
        digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _source_files() -> Iterator[Path]:
    for name in _PROJECT_FILES:
        yield REPOSITORY / name
    for name in _SOURCES:
        for path in sorted((REPOSITORY / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _make(target: Path) -> None:
    log = cache_dir() / "logs" / "node.log"
    locked = virtualenv.environment(["run"])
    wheel = _wheel(log)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    run_logged([sys.executable, "-m", "venv", "--without-pip", str(target)], log, what="venv")
    packages = _site_packages(target)
    shutil.copytree(_site_packages(locked), packages, symlinks=True, dirs_exist_ok=True)
    pip = [str(locked / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    argv = [*pip, "install", "--no-deps", "--no-index", "--target", str(packages), str(wheel)]
    run_logged(argv, log, what="installing Bootseer's own package")
    (target / _COMPLETE).touch()


def _site_packages(venv: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return venv / "lib" / version / "site-packages"


def _wheel(log: Path) -> Path:
    """Return Bootseer's own wheel, built from a copy so that the checkout stays as it is."""
    tools = virtualenv.environment(["build"], name="build")
    output = cache_dir() / "wheels" / "bootseer"
    shutil.rmtree(output, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        for path in _source_files():
            copy = Path(temporary) / path.relative_to(REPOSITORY)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        pip = [str(tools / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        how = ["--no-deps", "--no-build-isolation", "-w", str(output)]
        run_logged([*pip, "wheel", *how, temporary], log, what="building Bootseer's own package")
    return next(output.glob("*.whl"))


def _remove_old(tree: Tree, keep: set[str]) -> None:
    for marker in tree.at(HOME).glob(f"*/{_COMPLETE}"):
        # `current` is a link to one of these, and no directory of its own.
        if marker.parent.name not in keep and not marker.parent.is_symlink():
            shutil.rmtree(marker.parent, ignore_errors=True)
