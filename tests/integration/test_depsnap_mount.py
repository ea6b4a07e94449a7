"""Snapshots that are mounted instead of unpacked: real overlays over real EROFS images."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from depsnap_world import DepsWorld, make_pristine, make_wheel, make_world
from whole import Bootseer, bootseer_daemon, wait_for

from benchmarks.lab.workdir import work_directory
from bootseer import kernel

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Path]:
    with work_directory() as work:
        yield work


@pytest.fixture(scope="module")
def daemon(node: Path) -> Iterator[Bootseer]:
    with bootseer_daemon(node / "b") as made:
        yield made


@pytest.fixture(scope="module")
def kept(node: Path, tmp_path_factory: pytest.TempPathFactory) -> DepsWorld:
    """Return a world whose store has the snapshot; `installed` is a copy of what it is of."""
    home = node / "w"
    home.mkdir()
    made = make_world(home, make_pristine(tmp_path_factory.mktemp("pristine")))
    files = {f"gamma/m{number:03d}.py": f"VALUE = {number}\n".encode() for number in range(120)}
    files["gamma/large.bin"] = os.urandom(9 << 20)
    files["gamma/__init__.py"] = b"from gamma import m007\nVALUE = m007.VALUE\n"
    make_wheel(made.wheels, "gamma", "3.0", files)
    (made.home / "requirements.txt").write_text("alpha==1.0\nbeta==2.0\ngamma==3.0\n")
    made.install()
    shutil.copytree(made.venv, made.home / "installed", symlinks=True)
    return made


@pytest.fixture
def world(kept: DepsWorld, daemon: Bootseer) -> Iterator[DepsWorld]:
    """Return the same world with an environment that nothing was installed into yet."""
    kept.fresh()
    yield kept
    while kernel.unmount(str(kept.venv), lazy=True):
        pass


def mounted(world: DepsWorld, daemon: Bootseer, *options: str) -> str:
    """Install by a mount; return what is said."""
    done = world.install("--daemon", str(control(daemon)), "--restore", "mount", *options)
    assert done.returncode == 0, done.stderr
    return done.stderr


def control(daemon: Bootseer) -> Path:
    return daemon.config.parent / "run" / "control.sock"


def listing(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what is in a directory: kind and mode, time, links, contents."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name.split("/", maxsplit=1)[0] == ".depsnap" or path.is_dir():
            continue
        status = path.lstat()
        content = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        found[name] = (status.st_mode, status.st_mtime_ns, status.st_nlink, content)
    return found


def test_what_is_mounted_is_what_was_installed(world: DepsWorld, daemon: Bootseer) -> None:
    said = mounted(world, daemon)
    assert "mounted" in said, said
    assert kernel.find_mount(world.venv) is not None
    assert world.python("import alpha, gamma; print(alpha.VALUE, gamma.VALUE)") == "1 7"
    installed = world.home / "installed" / world.site.relative_to(world.venv)
    assert listing(world.site) == listing(installed)


def test_compiled_files_are_valid_below_a_mount(world: DepsWorld, daemon: Bootseer) -> None:
    mounted(world, daemon)
    compiled = world.site / "gamma/__pycache__"
    before = {path: path.stat().st_mtime_ns for path in compiled.iterdir()}
    assert world.python("import gamma; print(gamma.VALUE)") == "7"
    assert {path: path.stat().st_mtime_ns for path in compiled.iterdir()} == before


def test_a_mounted_environment_can_be_changed_like_an_unpacked_one(
    world: DepsWorld, daemon: Bootseer
) -> None:
    mounted(world, daemon)
    assert world.pip("check").returncode == 0
    assert world.pip("uninstall", "-y", "gamma").returncode == 0
    assert not (world.site / "gamma").exists()
    assert world.pip(*world.pip_install("gamma==3.0")[1:]).returncode == 0
    assert world.python("import gamma; print(gamma.VALUE)") == "7"


def test_where_it_is_mounted_nothing_is_done(world: DepsWorld, daemon: Bootseer) -> None:
    mounted(world, daemon)
    assert "already in place" in mounted(world, daemon)


def test_unmounting_leaves_what_was_there_and_nothing_else(
    world: DepsWorld, daemon: Bootseer
) -> None:
    before = listing(world.venv)
    mounted(world, daemon)
    (world.site / "mine").write_text("written after the restore")
    done = world.deps_unmount(str(control(daemon)), str(world.venv))
    assert done.returncode == 0, done.stderr
    assert listing(world.venv) == before
    assert list((daemon.root / "d").iterdir()) == []
    assert world.deps_unmount(str(control(daemon)), str(world.venv)).returncode == 3


def test_a_killed_server_is_not_noticed_below_a_mount(world: DepsWorld, daemon: Bootseer) -> None:
    mounted(world, daemon)
    large = world.site / "gamma/large.bin"
    with large.open("rb") as file:
        head = file.read(100)
        daemon.kill_server()
        rest = file.read()
    installed = world.home / "installed" / large.relative_to(world.venv)
    assert head + rest == installed.read_bytes()
    assert world.python("import gamma; print(gamma.VALUE)") == "7"
    assert world.deps_unmount(str(control(daemon)), str(world.venv)).returncode == 0


def test_what_the_first_start_reads_is_brought_before_the_next_asks(
    world: DepsWorld, daemon: Bootseer
) -> None:
    """Another snapshot than the other tests have: what is recorded is recorded once."""
    options = ("--key-extra", "hot")
    world.install(*options)
    world.fresh()
    large = world.site / "gamma/large.bin"
    mounted(world, daemon, *options)
    with large.open("rb") as file:
        first = file.read(5 << 20)
    assert courses(daemon)[-1] == "record"
    unmount(world, daemon)
    wait_for(lambda: "outcome=published" in daemon.log(), "the record")
    assert list(world.store.glob("hot/*/records/*/*"))
    world.fresh()
    mounted(world, daemon, *options)
    assert courses(daemon)[-1] in ("records", "ready")
    assert any(".h" in str(point) or "/h" in point for point in daemon.mounts())
    with large.open("rb") as file:
        assert file.read(5 << 20) == first
    unmount(world, daemon)


def courses(daemon: Bootseer) -> list[str]:
    """Return how starts went so far."""
    return re.findall(r"start\.prepared .*course=(\w+)", daemon.log())


def unmount(world: DepsWorld, daemon: Bootseer) -> None:
    done = world.deps_unmount(str(control(daemon)), str(world.venv))
    assert done.returncode == 0, done.stderr
