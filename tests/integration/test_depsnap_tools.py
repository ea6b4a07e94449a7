"""Real installers, each by its first run and a restore on a fresh node."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from depsnap_world import (
    REPOSITORY,
    DepsWorld,
    StepWorld,
    layered_root,
    make_pristine,
    make_step_world,
    make_world,
    own_root,
)

from tooling import uv
from tooling.locking import only_one
from tooling.places import cache_dir
from tooling.virtualenv import environment

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def pristine() -> Path:
    return make_pristine()


@pytest.fixture
def world(tmp_path: Path, pristine: Path) -> DepsWorld:
    return make_world(tmp_path, pristine)


def twice(world: DepsWorld, *command: str, options: tuple[str, ...] = ()) -> None:
    """Run a command, and restore it on a fresh node."""
    first = world.run(*options, "--", *command)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "kept" in first.stderr, first.stderr
    world.fresh()
    second = world.run(*options, "--require-snapshot", "--", *command)
    assert second.returncode == 0, second.stderr
    assert "restored" in second.stderr


@pytest.mark.parametrize("cache", ["inside", "outside"])
def test_uv(world: DepsWorld, cache: str) -> None:
    directory = (world.venv if cache == "inside" else world.home) / "uv-cache"
    links = ("--no-index", "--find-links", str(world.wheels), "--cache-dir", str(directory))
    world = DepsWorld(world.home, world.pristine, {"UV_CACHE_DIR": str(directory)})
    twice(world, str(uv.find()), "pip", "install", *links, "-r", "requirements.txt")
    assert not (world.venv / "uv-cache").exists(), "a cache is never kept"
    assert world.python("import alpha, beta; print(alpha.VALUE, beta.VALUE)") == "1 2"
    assert world.pip("check").returncode == 0
    compiled = [path.name for path in (world.site / "alpha/__pycache__").iterdir()]
    assert compiled == [f"__init__.{sys.implementation.cache_tag}.pyc"], "uv did not compile"
    assert world.pip("uninstall", "-y", "alpha").returncode == 0
    assert not (world.site / "alpha").exists(), "what was compiled is in no RECORD"


def source_tree(world: DepsWorld) -> Path:
    """Make a package with a compiled extension and a script."""
    tree = world.home / "gamma"
    tree.mkdir()
    (tree / "setup.py").write_text(
        "from setuptools import setup, Extension\n"
        "setup(name='gamma', version='1.0', packages=['gamma'],\n"
        "      ext_modules=[Extension('gamma.fast', ['fast.c'])],\n"
        "      entry_points={'console_scripts': ['gamma=gamma:main']})\n"
    )
    (tree / "gamma").mkdir()
    (tree / "gamma/__init__.py").write_text("def main(): print('gamma runs')\n")
    (tree / "fast.c").write_text(EXTENSION)
    return tree


EXTENSION = """#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", 0, -1, 0};
PyMODINIT_FUNC PyInit_fast(void) {
  PyObject *made = PyModule_Create(&module);
  PyModule_AddIntConstant(made, "value", 42);
  return made;
}
"""


def has_headers() -> bool:
    return Path(sysconfig.get_paths()["include"], "Python.h").exists()


def test_setup_py_builds_once(world: DepsWorld) -> None:
    if not has_headers():
        (source_tree(world) / "setup.py").write_text(
            "from setuptools import setup\nsetup(name='gamma', version='1.0', packages=['gamma'],\n"
            "entry_points={'console_scripts': ['gamma=gamma:main']})\n"
        )
    else:
        source_tree(world)
    (world.home / "install.sh").write_text("cd gamma && python setup.py -q install")
    command = ("sh", "install.sh")
    twice(world, *command)
    done = subprocess.run([world.venv / "bin/gamma"], capture_output=True, text=True, check=True)
    assert done.stdout == "gamma runs\n"
    if has_headers():
        assert world.python("import gamma.fast; print(gamma.fast.value)") == "42"


def test_an_editable_install_points_to_its_sources(world: DepsWorld) -> None:
    tree = source_tree(world)
    (tree / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='gamma', version='1.0', packages=['gamma'])\n"
    )
    command = ("pip", "install", "--no-index", "--no-build-isolation", "-e", str(tree))
    twice(world, *command)
    assert world.python("import gamma; gamma.main()") == "gamma runs"
    # Sources are part of the key: what is built from them may be another.
    (tree / "gamma/__init__.py").write_text("def main(): print('changed')\n")
    world.fresh()
    assert world.run("--require-snapshot", "--", *command).returncode == 3


def test_a_script_that_compiles_c(world: DepsWorld) -> None:
    (world.home / "answer.c").write_text("int answer(void) { return 42; }\n")
    (world.home / "build.sh").write_text(
        f"set -e\nmkdir -p {world.venv}/lib\ncc -shared -fPIC -o {world.venv}/lib/libanswer.so $1\n"
    )
    command = ("sh", "build.sh", "answer.c")
    twice(world, *command, options=("--native",))
    load = f"import ctypes; print(ctypes.CDLL('{world.venv}/lib/libanswer.so').answer())"
    assert world.python(load) == "42"
    (world.home / "answer.c").write_text("int answer(void) { return 43; }\n")
    world.fresh()
    done = world.run("--native", "--", *command)
    assert "answer.c changed" in done.stderr
    assert world.python(load) == "43"


@pytest.fixture
def steps(tmp_path: Path) -> StepWorld:
    return make_step_world(tmp_path)


def test_npm(steps: StepWorld) -> None:
    package = steps.home / "package"
    package.mkdir()
    (package / "package.json").write_text('{"name": "left", "version": "1.0.0", "main": "i.js"}')
    (package / "i.js").write_text("module.exports = 42\n")
    pack = ["npm", "pack", "--silent", str(package)]
    subprocess.run(pack, cwd=steps.home, check=True, capture_output=True)
    archive = f"file:{steps.home}/left-1.0.0.tgz"
    command = ("npm", "install", "--offline", "--prefix", str(steps.root), archive)
    twice(steps, *command, options=("--root", str(steps.root)))
    done = subprocess.run(
        ["node", "-e", "console.log(require('left'))"],
        cwd=steps.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "42\n"
    listed = subprocess.run(["npm", "ls", "--offline"], cwd=steps.root, check=False)
    assert listed.returncode == 0


@pytest.fixture(scope="module")
def rattler() -> Path:
    """The Python of an environment with conda's installer as pixi has it."""
    with only_one(cache_dir() / "setup.lock"):
        return environment(["rattler"], name="rattler") / "bin/python"


CONDA_INSTALL = """
import asyncio, os, sys
from rattler import install, solve

async def main():
    channel, prefix, *specs = sys.argv[1:]
    await install(await solve([channel], specs, platforms=["noarch"]), prefix)

asyncio.run(main())
os._exit(0)  # its threads do not always survive the interpreter's end
"""
PLACEHOLDER = "/opt/" + "placeholder_" * 6


def conda_channel(directory: Path, name: str, files: Mapping[str, bytes]) -> str:
    """Make a channel with one package; return its address."""
    described = {"name": name, "version": "1.0", "build": "0", "build_number": 0, "depends": []}
    index = described | {"subdir": "noarch", "noarch": "generic"}
    paths = [
        {"_path": path, "path_type": "hardlink", "size_in_bytes": len(data)}
        | {"sha256": hashlib.sha256(data).hexdigest()}
        | (
            {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
            if PLACEHOLDER.encode() in data
            else {}
        )
        for path, data in files.items()
    ]
    about = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/files": "".join(f"{path}\n" for path in files).encode(),
        "info/about.json": b"{}",
    }
    archive = directory / "noarch" / f"{name}-1.0-0.tar.bz2"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:bz2") as tar:
        for path, data in (dict(files) | about).items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o755 if path.startswith("bin/") else 0o644
            tar.addfile(member, io.BytesIO(data))
    data = archive.read_bytes()
    entry = index | {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    repodata = {"info": {"subdir": "noarch"}, "packages": {archive.name: entry}}
    (archive.parent / "repodata.json").write_text(json.dumps(repodata | {"packages.conda": {}}))
    return f"file://{directory}"


def test_conda_packages(steps: StepWorld, rattler: Path) -> None:
    script = f"#!/bin/sh\necho delta of {PLACEHOLDER}\n".encode()
    files = {"bin/delta": script, "share/delta/data": b"delta\n"}
    channel = conda_channel(steps.home / "channel", "delta", files)
    (steps.home / "install.py").write_text(CONDA_INSTALL)
    variables = {"RATTLER_CACHE_DIR": str(steps.root / "cache")}
    world = StepWorld(steps.home, steps.pristine, variables)
    command = (str(rattler), "install.py", channel, str(world.root), "delta")
    twice(world, *command, options=("--root", str(world.root)))
    assert not (world.root / "cache").exists(), "a cache is never kept"
    done = subprocess.run([world.root / "bin/delta"], capture_output=True, text=True, check=True)
    assert done.stdout == f"delta of {world.root}\n"
    assert (world.root / "share/delta/data").read_text() == "delta\n"
    record = json.loads((world.root / "conda-meta/delta-1.0-0.json").read_text())
    assert sorted(record["files"]) == sorted(files)


def deb(directory: Path, name: str) -> Path:
    """Build a package of Debian's with one file."""
    package = directory / "deb"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@y>\nDescription: d\n"
    )
    (package / f"usr/share/{name}").mkdir(parents=True)
    (package / f"usr/share/{name}/data").write_text(f"{name}\n")
    archive = directory / f"{name}.deb"
    build = ["dpkg-deb", "--build", "--root-owner-group", str(package), str(archive)]
    subprocess.run(build, check=True, capture_output=True)
    return archive


def test_apt_in_a_root_like_a_containers(tmp_path: Path) -> None:
    """With apt's own solver and Debian's real database, captured as the whole root directory."""
    world = StepWorld(tmp_path, tmp_path)
    repository = tmp_path / "repository"
    repository.mkdir()
    archive = deb(repository, "bootseer-delta")
    control = subprocess.run(
        ["dpkg-deb", "--field", str(archive)], capture_output=True, text=True, check=True
    ).stdout
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (repository / "Packages").write_text(
        f"{control}Filename: ./{archive.name}\nSize: {archive.stat().st_size}\nSHA256: {digest}\n"
    )
    (repository / "list").write_text(f"deb [trusted=yes] file:{repository} ./\n")
    sources = f"-o Dir::Etc::SourceList={repository}/list -o Dir::Etc::SourceParts=/none"
    apt = f"apt-get -qq {sources} -o APT::Sandbox::User=root"
    install = f"{apt} update && {apt} install -y --no-install-recommends bootseer-delta"
    # An interpreter of no container's: what it reads must be there.
    shared = (tmp_path, REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))
    words = ("--root", "/", "--python", sys.executable, "--", "sh", "-c", install)
    first = world.deps_as(layered_root(tmp_path / "first", shared), "run", "--name", "job", *words)
    assert first.returncode == 0, first.stderr
    assert "kept" in first.stderr, first.stderr
    second = layered_root(tmp_path / "second", shared)
    restored = world.deps_as(second, "restore", "--name", "job", *words)
    assert restored.returncode == 0, restored.stderr
    look = (
        "cat /usr/share/bootseer-delta/data; dpkg-query -W -f '${Status}\n' bootseer-delta; "
        f"{apt} check && {apt} remove -y bootseer-delta >/dev/null; ls /usr/share/bootseer-delta"
    )
    done = subprocess.run([*second, "sh", "-c", look], capture_output=True, text=True, check=False)
    assert done.stdout == "bootseer-delta\ninstall ok installed\n", done.stderr
    assert "No such file" in done.stderr


@pytest.fixture
def dpkg_root(tmp_path: Path) -> Path:
    """An own dpkg database with nothing in it, and a package to install."""
    root = tmp_path / "root"
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/dpkg/status").write_text("")
    deb(tmp_path, "delta")
    return root


def test_dpkg_with_its_database(dpkg_root: Path, tmp_path: Path) -> None:
    pristine = tmp_path / "pristine-root"
    subprocess.run(["cp", "-a", str(dpkg_root), str(pristine)], check=True)

    class Root(StepWorld):
        def fresh(self) -> None:
            shutil.rmtree(self.root)
            subprocess.run(["cp", "-a", str(pristine), str(self.root)], check=True)

    world = Root(tmp_path, pristine)
    command = ("dpkg", f"--root={world.root}", "--install", str(tmp_path / "delta.deb"))
    twice(world, *command, options=("--root", str(world.root)))
    assert (world.root / "usr/share/delta/data").read_text() == "delta\n"
    query = ["dpkg", f"--root={world.root}", "--status", "delta"]
    done = subprocess.run(query, capture_output=True, text=True, check=True)
    assert "install ok installed" in done.stdout
    remove = ["dpkg", f"--root={world.root}", "--remove", "delta"]
    subprocess.run(remove, capture_output=True, check=True)
    assert not (world.root / "usr/share/delta").exists()


def test_the_whole_root_directory_is_captured(tmp_path: Path) -> None:
    """In a root of its own: the step writes wherever it wants."""
    world = StepWorld(tmp_path, tmp_path)
    home = tmp_path / "newroot"
    home.mkdir()
    stale = tmp_path / "libraries/libfar.so.3"
    stale.parent.mkdir()
    stale.symlink_to("/etc/alternatives/libfar.so.3")
    enter = own_root(home, (tmp_path, REPOSITORY))
    step = (
        f"mkdir -p /etc/ld.so.conf.d; echo {stale.parent} > /etc/ld.so.conf.d/x.conf;"
        "echo 'include /etc/ld.so.conf.d/*.conf' > /etc/ld.so.conf;"
        "echo conf > /etc/app.conf; mkdir -p /var/lib/app; echo x > /var/lib/app/x; echo > /tmp/t"
    )
    words = ("--root", "/", "--python", sys.executable, "--", "sh", "-c", step)
    first = world.deps_as(enter, "run", "--name", "job", *words)
    assert first.returncode == 0, first.stderr
    assert "kept" in first.stderr, first.stderr
    assert [head["capture"] for head in world.heads()] == ["overlay"], first.stderr
    assert (home / "etc/app.conf").read_text() == "conf\n"
    for name in ("app.conf", "ld.so.conf.d/x.conf", "ld.so.conf"):
        (home / "etc" / name).unlink()
    for name in ("var/lib/app/x", "tmp/t"):
        (home / name).unlink()
    shutil.rmtree(home / ".depsnap")
    (home / "var/lib/app").rmdir()
    second = world.deps_as(enter, "restore", "--name", "job", *words)
    assert second.returncode == 0, second.stderr
    assert (home / "etc/app.conf").read_text() == "conf\n"
    assert (home / "var/lib/app/x").read_text() == "x\n"
    assert not (home / "tmp/t").exists()
    assert (home / "etc/ld.so.cache").exists(), "made where it is restored"
    assert stale.is_symlink(), "what it leads to may be elsewhere, or come later"
