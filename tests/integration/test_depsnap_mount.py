"""Snapshots that are mounted instead of unpacked: real overlays over real EROFS images."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from depsnap_world import (
    REPOSITORY,
    DepsWorld,
    StepWorld,
    make_pristine,
    make_wheel,
    make_world,
    own_root,
)
from whole import Bootseer, bootseer, bootseer_daemon, wait_for

from benchmarks.lab.hdfs import Hdfs
from benchmarks.lab.workdir import work_directory
from bootseer import kernel
from tests.registry_fixture import running_registry

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
def kept(node: Path) -> DepsWorld:
    """Return a world whose store has the snapshot; `installed` is a copy of what it is of."""
    home = node / "w"
    home.mkdir()
    made = make_world(home, make_pristine())
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


def mounted(world: DepsWorld, daemon: Bootseer, *options: str, step: tuple[str, ...] = ()) -> str:
    """Install by a mount (what is required, or what `step` installs); return what is said."""
    how = ("--daemon", str(daemon.control), "--restore", "mount", *options)
    done = world.run(*how, "--", *step) if step else world.install(*how)
    assert done.returncode == 0, done.stderr
    return done.stderr


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


def test_mounts_are_counted(world: DepsWorld, daemon: Bootseer) -> None:
    def counted() -> dict[str, float]:
        text = bootseer("snapshotter", "metrics", "--config", str(daemon.config))
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if "_dependency_" in line]
        return {name: float(value) for name, value in rows if not name.startswith("#")}

    requests = "bootseer_dependency_mount_requests_total"
    before = counted()
    mounted(world, daemon)
    world.install("--daemon", str(daemon.control), "--restore", "mount", "--key-extra", "none")
    after = counted()
    mounts = "bootseer_dependency_mounts"  # how many there are: those of an earlier test may go
    assert after[mounts] >= 1
    grown = {name for name, value in after.items() if value > before[name]}
    assert grown | {mounts} == {
        mounts,
        "bootseer_dependency_mount_seconds_total",
        f'{requests}{{outcome="mounted"}}',
        f'{requests}{{outcome="absent"}}',
    }


def test_where_it_is_mounted_nothing_is_done(world: DepsWorld, daemon: Bootseer) -> None:
    mounted(world, daemon)
    assert "already in place" in mounted(world, daemon)


def test_unmounting_leaves_what_was_there_and_nothing_else(
    world: DepsWorld, daemon: Bootseer
) -> None:
    before = listing(world.venv)
    mounted(world, daemon)
    (world.site / "mine").write_text("written after the restore")
    unmount(world, daemon)
    assert listing(world.venv) == before
    # Who cloned the mounts meanwhile (tests beside this one run containers) still has them.
    left = daemon.root / "d"
    wait_for(lambda: [path.name for path in left.iterdir()] == ["connection"], "an empty area", 60)
    assert unmounted(world, daemon).returncode == 3


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
    unmount(world, daemon)


def test_after_the_daemon_was_stopped_the_next_start_mounts_again(
    world: DepsWorld, node: Path
) -> None:
    large = world.site / "gamma/large.bin"
    with bootseer_daemon(node / "b2") as first:
        assert "mounted" in mounted(world, first)
        (world.venv / "mine").write_text("written meanwhile")
    with bootseer_daemon(node / "b2") as second:
        assert "already in place" in mounted(world, second)
        installed = world.home / "installed" / large.relative_to(world.venv)
        assert large.read_bytes() == installed.read_bytes()
        assert (world.venv / "mine").read_text() == "written meanwhile"
        for _ in range(2):
            unmount(world, second)


def test_what_the_first_start_reads_is_brought_before_the_next_asks(
    world: DepsWorld, daemon: Bootseer
) -> None:
    """Another snapshot than the other tests have: what is recorded is recorded once."""
    options = ("--key-extra", "hot")
    world.install(*options)
    large = world.site / "gamma/large.bin"
    assert started(world, daemon, "record", *options)
    with large.open("rb") as file:
        first = file.read(5 << 20)
    unmount(world, daemon)
    wait_for(lambda: "outcome=published" in daemon.log(), "the record", 60)
    assert list(world.store.glob("hot/*/records/*/*"))
    put_before = daemon.status()["page_cache"]["stored_bytes"]
    assert not started(world, daemon, "records", *options)
    wait_for(lambda: not any(hot["going_on"] for hot in daemon.status()["hot"]["images"]), "it")
    status = daemon.status()
    assert status["page_cache"]["stored_bytes"] - put_before >= len(first)
    with large.open("rb") as file:
        assert file.read(5 << 20) == first
    reads = daemon.status()["reads"]["layers"]["reads"]
    assert reads["demand"] == status["reads"]["layers"]["reads"]["demand"]
    unmount(world, daemon)


PACKING = "fill: {rate: 1000000000, after: 0.1}\n"
"""What is recorded is packed at once."""


def packed(world: DepsWorld, node: Path, extra: str) -> tuple[Path, bytes]:
    """Have a snapshot of its own whose first start was recorded and packed by a node; return its
    large file, of which the start read the beginning, and what that is to hold.
    """
    with bootseer_daemon(node / extra, PACKING) as daemon:
        large = of_its_own(world, daemon, extra)
        with large.open("rb") as file:
            file.read(5 << 20)
        wait_for(lambda: "layer.verified" in daemon.log(), "all of it")
        unmount(world, daemon)  # which ends the recording
        wait_for(lambda: f"hot.packed image=deps:{world.store.as_uri()}" in daemon.log(), "it", 60)
    return large, (world.home / "expected").read_bytes()


def newest_pack(store: Path) -> Path:
    artifact = max(store.glob("hot/*/packs/*/*"), key=lambda path: path.stat().st_mtime)
    digest = json.loads(artifact.read_text())["layers"][0]["digest"]
    return artifact.parents[2] / "blobs" / digest.removeprefix("sha256:")


def mounted_with(world: DepsWorld, daemon: Bootseer, extra: str, course: str) -> None:
    """Mount it so that the start goes this way; its hot blocks have come, or will not."""
    options = ("--key-extra", extra)
    assert started(world, daemon, course, *options, step=step_of(world, extra)) == 1
    wait_for(lambda: not any(hot["going_on"] for hot in daemon.status()["hot"]["images"]), "it")


def test_hot_blocks_come_by_a_pack_that_another_node_made(world: DepsWorld, node: Path) -> None:
    large, expected = packed(world, node, "packed")
    with bootseer_daemon(node / "b3") as daemon:
        mounted_with(world, daemon, "packed", "pack")
        before = daemon.status()["reads"]["layers"]["reads"]["demand"]
        with large.open("rb") as file:
            assert file.read(5 << 20) == expected[: 5 << 20]
            assert daemon.status()["reads"]["layers"]["reads"]["demand"] == before
            assert file.read() == expected[5 << 20 :]
        unmount(world, daemon)
    with bootseer_daemon(node / "b3") as daemon:
        mounted_with(world, daemon, "packed", "ready")
        assert large.read_bytes() == expected
        unmount(world, daemon)


def test_what_a_short_job_recorded_is_packed_when_the_rest_has_come(
    world: DepsWorld, node: Path
) -> None:
    with bootseer_daemon(node / "short", "fill: {rate: 1000000000, after: 2}\n") as daemon:
        large = of_its_own(world, daemon, "short")
        with large.open("rb") as file:
            file.read(5 << 20)
        unmount(world, daemon)
        assert "layer.verified" not in daemon.log()
        wait_for(lambda: f"hot.packed image=deps:{world.store.as_uri()}" in daemon.log(), "it", 60)


def test_a_hot_pack_that_lies_brings_nothing_and_its_blocks_come_otherwise(
    world: DepsWorld, node: Path
) -> None:
    large, expected = packed(world, node, "forged")
    pack = newest_pack(world.store)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    with bootseer_daemon(node / "b4") as daemon:
        mounted_with(world, daemon, "forged", "pack")
        assert large.read_bytes() == expected
        assert "hot.pack_failed" in daemon.log()
        unmount(world, daemon)


def started(
    world: DepsWorld, daemon: Bootseer, course: str, *options: str, step: tuple[str, ...] = ()
) -> int:
    """Mount so that the start goes this way; return on how many mounts of its own. On a busy
    machine that may not be known in time: then a start goes its natural way, and the next one finds
    it."""
    for _ in range(5):
        world.fresh()
        mounted(world, daemon, *options, step=step)
        last = re.findall(r"start\.prepared .*course=(\w+) .*stand_ins=(\d+)", daemon.log())[-1]
        if last[0] == course:
            return int(last[1])
        unmount(world, daemon)
    raise AssertionError(f"no start went the way of {course}")


def unmounted(world: DepsWorld, daemon: Bootseer) -> "subprocess.CompletedProcess[str]":
    """Run `bootseer deps unmount` for the environment."""
    *program, _, _ = world.command("unmount")  # less the option that names the store
    words = [*program, "--daemon", str(daemon.control), str(world.venv)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def unmount(world: DepsWorld, daemon: Bootseer) -> None:
    done = unmounted(world, daemon)
    assert done.returncode == 0, done.stderr


def step_of(world: DepsWorld, extra: str) -> tuple[str, ...]:
    """Return the step that installs the package that `of_its_own` makes."""
    wheel = world.home / extra / f"{extra}-1.0-py3-none-any.whl"
    return ("pip", "install", "--no-index", str(wheel))


def of_its_own(world: DepsWorld, daemon: Bootseer, extra: str) -> Path:
    """Mount a snapshot that no other test has read from; return a large file of it."""
    large = {f"{extra}/large.bin": os.urandom(12 << 20), f"{extra}/__init__.py": b"VALUE = 5\n"}
    make_wheel(world.home / extra, extra, "1.0", large)
    step = step_of(world, extra)
    done = world.run("--key-extra", extra, "--", *step)
    assert "kept" in done.stderr, done.stderr
    (world.home / "expected").write_bytes(large[f"{extra}/large.bin"])
    world.fresh()
    assert "mounted" in mounted(world, daemon, "--key-extra", extra, step=step)
    return world.site / extra / "large.bin"


def read_or_errno(descriptor: int, offset: int) -> bytes | int | None:
    """Return a block of an open file, or the number of the error."""
    try:
        return os.pread(descriptor, 4096, offset)
    except OSError as error:
        return error.errno


def test_a_pack_that_lies_is_an_error_and_never_other_bytes(
    world: DepsWorld, daemon: Bootseer
) -> None:
    large = of_its_own(world, daemon, "liar")
    expected = (world.home / "expected").read_bytes()
    for pack in world.packs():
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(content)
    found = []
    with large.open("rb", buffering=0) as file:
        for offset in range(0, len(expected), 1 << 20):
            found.append(read_or_errno(file.fileno(), offset))
            assert found[-1] in (expected[offset : offset + 4096], errno.EIO)
    assert errno.EIO in found
    assert any(isinstance(one, bytes) for one in found)
    assert "the store has other bytes than the snapshot says" in daemon.log()
    for pack in world.packs():
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.write_bytes(content)
    unmount(world, daemon)


def test_what_is_local_is_read_while_the_store_is_away_and_all_of_it_afterwards(
    world: DepsWorld, daemon: Bootseer
) -> None:
    large = of_its_own(world, daemon, "away")
    expected = (world.home / "expected").read_bytes()
    with large.open("rb", buffering=0) as file:
        assert os.pread(file.fileno(), 4096, 0) == expected[:4096]
        away = world.store.rename(world.home / "elsewhere")
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file.fileno(), 4096, 0) == expected[:4096]
        with pytest.raises(OSError, match="Input/output error"):
            os.pread(file.fileno(), 4096, 11 << 20)
        away.rename(world.store)

        def reads() -> bool:
            with suppress(OSError):
                return os.pread(file.fileno(), 4096, 11 << 20) == expected[11 << 20 :][:4096]
            return False

        wait_for(reads, "the store to be asked again")
    unmount(world, daemon)


def test_a_store_that_is_away_from_the_start_mounts_nothing_and_the_step_runs(
    world: DepsWorld, daemon: Bootseer
) -> None:
    away = world.store.rename(world.home / "elsewhere")
    world.store.write_text("no directory")
    try:
        done = world.install("--daemon", str(daemon.control), "--restore", "mount")
    finally:
        world.store.unlink()
        away.rename(world.store)
    assert done.returncode == 0
    assert "Successfully installed" in done.stdout
    assert kernel.find_mount(world.venv) is None


def test_a_snapshot_in_a_registry_is_mounted(
    world: DepsWorld, daemon: Bootseer, tmp_path: Path
) -> None:
    with running_registry(tmp_path) as registry:
        where = ("--store", f"oci://{registry.host}/team/deps")
        assert "kept" in world.install(*where).stderr
        world.fresh()
        assert "mounted" in mounted(world, daemon, *where)
        assert world.python("import gamma; print(gamma.VALUE)") == "7"
        unmount(world, daemon)


def test_root_of_another_user_namespace_gets_no_mount(world: DepsWorld, daemon: Bootseer) -> None:
    step = ("run", "--name", "job", "--daemon", str(daemon.control), "--restore", "mount")
    install = ("--", *world.pip_install("-r", "requirements.txt"))
    done = world.deps_as(("unshare", "--user", "--map-root-user"), *step, *install)
    assert "only root of the node's own user namespace" in done.stderr, done.stderr
    assert kernel.find_mount(world.venv) is None


def test_of_the_root_directory_what_is_large_is_mounted_and_the_rest_unpacked(
    node: Path, daemon: Bootseer
) -> None:
    """In a root of its own, as a container has one: the step writes wherever it wants."""
    home = node / "rooted"
    home.mkdir()
    world = StepWorld(home, home)
    step = (
        "mkdir -p /srv/pkg; for n in $(seq 100); do echo text $n > /srv/pkg/$n; done; "
        "rm -f /srv/old; echo conf > /etc/app.conf; ln -sf pkg /srv/link"
    )
    words = ("--root", "/", "--python", sys.executable, "--", "sh", "-c", step)
    first = world.deps_as(rooted(node, "first"), "run", "--name", "job", *words)
    assert "kept" in first.stderr, first.stderr
    enter = rooted(node, "second")
    script = '"$@"; cat /srv/link/7 /etc/app.conf; ls /srv; grep " /srv " /proc/self/mountinfo'
    inside = (*enter, "sh", "-c", script, "sh")
    mount = ("--restore", "mount", "--daemon", str(daemon.control), "--require-snapshot")
    done = world.deps_as(inside, "run", "--name", "job", *mount, *words)
    assert "mounted" in done.stderr, done.stderr
    assert done.stdout.startswith("text 7\nconf\nlink\npkg\n"), done.stdout
    assert " overlay bootseer-deps-" in done.stdout
    assert (node / "second/etc/app.conf").exists()
    assert sorted(one.name for one in (node / "second/srv").iterdir()) == ["old"], "only covered"


def rooted(node: Path, name: str) -> tuple[str, ...]:
    """Make a root directory; return the words that start a program there."""
    root = node / name
    (root / "srv").mkdir(parents=True)
    (root / "srv/old").write_text("was there")
    return own_root(root, (node, REPOSITORY))


def test_a_snapshot_in_hdfs_is_mounted(world: DepsWorld, daemon: Bootseer, hdfs: Hdfs) -> None:
    where = ("--store", hdfs.address("deps/mounted", "root"))
    assert "kept" in world.install(*where).stderr
    world.fresh()
    assert "mounted" in mounted(world, daemon, *where)
    assert world.python("import gamma; print(gamma.VALUE)") == "7"
    unmount(world, daemon)


def test_without_a_daemon_it_is_unpacked_and_a_line_says_so(world: DepsWorld) -> None:
    done = world.install("--daemon", str(world.home / "none"), "--restore", "mount")
    assert "not mounted, but unpacked: the node's daemon does not answer" in done.stderr
    assert "restored" in done.stderr
    assert world.python("import gamma; print(gamma.VALUE)") == "7"


def test_what_is_small_or_apart_is_unpacked_beside_a_mount(
    world: DepsWorld, daemon: Bootseer
) -> None:
    """Two roots, one of them with a single file."""
    apart = world.home / "apart"
    script = (
        f"mkdir -p {world.venv}/pkg; for n in $(seq 90); do echo $n > {world.venv}/pkg/$n; done;"
        f" echo conf > {apart}/conf; mkdir {apart}/new; echo x > {apart}/new/x; rm {apart}/old"
    )
    options = ("--root", str(world.venv), "--root", str(apart))
    step = ("--", "sh", "-c", script)

    def prepare() -> None:
        shutil.rmtree(apart, ignore_errors=True)
        apart.mkdir()
        (apart / "old").write_text("old")

    prepare()
    assert "kept" in world.run(*options, *step).stderr
    world.fresh()
    prepare()
    where = ("--daemon", str(daemon.control), "--restore", "mount")
    done = world.run(*options, *where, *step)
    assert "mounted" in done.stderr, done.stderr
    assert (world.venv / "pkg/90").read_text() == "90\n"
    assert kernel.find_mount(world.venv) is not None
    assert kernel.find_mount(apart) is None
    assert sorted(path.name for path in apart.iterdir() if path.name[0] != ".") == ["conf", "new"]
    assert (apart / "new/x").read_text() == "x\n"
    unmount(world, daemon)


def test_packages_that_a_snapshot_took_away_are_gone_below_its_mount(
    world: DepsWorld, daemon: Bootseer
) -> None:
    script = f"rm -r {world.site}/pip; rm -r {world.site}/setuptools; mkdir {world.site}/setuptools"
    script += f"; for n in $(seq 90); do echo $n > {world.site}/setuptools/$n; done"
    step = ("--", "sh", "-c", script)
    assert "kept" in world.run(*step).stderr
    world.fresh()
    where = ("--daemon", str(daemon.control), "--restore", "mount")
    assert "mounted" in world.run(*where, *step).stderr
    assert not (world.site / "pip").exists()
    assert len(list((world.site / "setuptools").iterdir())) == 90
    unmount(world, daemon)
    assert (world.site / "pip").is_dir()
