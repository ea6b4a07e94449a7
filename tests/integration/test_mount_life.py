"""How a mount comes and goes: in the background, by mount(8), waiting, and in trouble."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkpoint_mount import CONFIG
from mount_conformance import DATA

from benchmarks.lab.hdfs import Hdfs as RunningHdfs
from bootseer import kernel
from fuse_hdfs.mount.presence import server_of
from fuse_hdfs.mount.unmounting import KIND
from tests.registry_fixture import free_port

pytestmark = pytest.mark.containers

CONFIG_DIRECTORY = Path(__file__).parents[2] / "config"


class Place:
    """A store in a directory, and where to mount it."""

    def __init__(self, directory: Path) -> None:
        self.store = directory / "store"
        self.path = directory / "a mount"
        self.run_dir = directory / "run"
        self.log = directory / "log"
        self.config = directory / "bootseer.yaml"
        for made in (self.store, self.path, directory / "spool"):
            made.mkdir()
        self.config.write_text(
            CONFIG.format(spool=directory / "spool") + f"run_dir: {self.run_dir}\n"
        )

    @property
    def mounted(self) -> bool:
        found = kernel.find_mount(self.path)
        return found is not None and found.kind == KIND

    def run(self, *argv: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "bootseer", "hdfs", *map(str, argv)]
        command += ["--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def mount(self, *argv: object, store: str = "") -> "subprocess.CompletedProcess[str]":
        where = store or f"file://{self.store}"
        return self.run("mount", "--daemon", "--log-file", self.log, *argv, where, self.path)

    def server(self) -> int:
        """Return the process that serves the mount."""
        found = kernel.find_mount(self.path)
        assert found is not None
        descriptor = server_of(self.run_dir, found.minor)
        assert descriptor is not None
        try:
            text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
            return int(text.partition("Pid:")[2].split()[0])
        finally:
            os.close(descriptor)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    while place.mounted:
        place.run("umount", "--timeout", "0", place.path)
    if place.log.exists():
        said = place.log.read_text()
        assert "mount.bug" not in said
        assert "Traceback" not in said, said


def is_alive(pid: int) -> bool:
    """Whether it runs; whoever inherited it may leave it unburied."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def test_a_daemon_returns_when_the_mount_answers_and_umount_when_it_is_gone(place: Place) -> None:
    done = place.mount()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = place.server()
    assert (os.getsid(pid), Path(f"/proc/{pid}/cwd").readlink()) == (pid, Path("/"))
    (place.path / "file").write_bytes(DATA)
    assert (place.path / "file").read_bytes() == DATA
    assert place.run("umount", place.path).returncode == 0
    assert not place.mounted
    assert not is_alive(pid)
    assert "mount.serving" in place.log.read_text()
    assert not list(place.run_dir.rglob("*.lock"))
    assert place.run("umount", place.path).returncode == 2


def test_what_goes_wrong_before_the_mount_is_said_with_an_exit_code(place: Place) -> None:
    for store, code in (("ftp://a", 2), ("file:///none", 3)):
        done = place.mount(store=store)
        assert (done.returncode, "error:" in done.stderr) == (code, True)
    done = place.mount(store=f"hdfs://localhost:{free_port()}/a")
    assert (done.returncode, "hint:" in done.stderr) == (4, True)
    assert place.mount("-o", "wiat").returncode == 2
    assert place.mount("--log-file", place.store).returncode == 6
    assert not place.mounted


def test_the_timeline_has_how_long_a_mount_took_to_be_ready_or_why_it_is_not(place: Place) -> None:
    events = place.log.with_name("events.jsonl")
    place.config.write_text(f"{place.config.read_text()}events: {{path: {events}}}\n")
    assert place.mount(store="file:///none").returncode == 3
    assert place.mount().returncode == 0
    assert place.run("umount", place.path).returncode == 0
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert [(one["stage"], one["event"]) for one in lines] == [
        ("hdfs.mount", "begin"),
        ("hdfs.mount", "end"),
    ] * 2
    failed, served = lines[1]["attributes"], lines[3]["attributes"]
    assert failed == {"error": "NotFoundError"}
    assert set(served) == {"store_s", "mount_s"}
    assert lines[2]["attributes"] == {"store": f"file://{place.store}", "at": str(place.path)}


def test_umount_publishes_what_is_open_and_whoever_has_it_open_gets_errors(place: Place) -> None:
    place.mount()
    file = (place.path / "open").open("wb", 0)
    file.write(DATA)
    assert place.run("umount", place.path).returncode == 0
    assert not place.mounted
    with pytest.raises(OSError, match=r"not connected|aborted"):
        file.write(b"more")
    with pytest.raises(OSError, match=r"not connected|aborted"):
        file.close()
    place.mount()
    assert (place.path / "open").read_bytes() == DATA


def test_a_server_that_hangs_is_given_up_and_so_is_who_waits_for_it(place: Place) -> None:
    place.mount()
    (place.path / "file").write_bytes(DATA)
    pid = place.server()
    os.kill(pid, signal.SIGSTOP)
    failed: list[OSError] = []

    def wait_for_it() -> None:
        try:
            list(place.path.iterdir())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=wait_for_it, daemon=True)
    thread.start()
    done = place.run("umount", "--timeout", "1", place.path)
    assert (done.returncode, "warning:" in done.stderr) == (0, True)
    thread.join(20)
    assert len(failed) == 1
    assert not place.mounted
    assert not is_alive(pid)
    place.mount()
    assert (place.path / "file").read_bytes() == DATA


@pytest.mark.parametrize("busy", [False, True])
def test_a_mount_whose_server_was_killed_is_taken_away(place: Place, busy: bool) -> None:
    place.mount()
    (place.path / "file").write_bytes(DATA)
    pid = place.server()
    opened = os.open(place.path / "file", os.O_RDONLY) if busy else None
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert place.run("umount", place.path).returncode == 0
    assert not place.mounted
    if opened is not None:
        with pytest.raises(OSError, match="not connected"):
            os.close(opened)


def waits_in(pid: int, *functions: str) -> bool:
    """Whether a process waits in one of these functions of the kernel."""
    stack = Path(f"/proc/{pid}/stack").read_text()
    return any(function in stack for function in functions)


HANGING = {
    "read": ("f = os.open(d + '/other', os.O_RDONLY)", "os.pread(f, 1 << 20, 0)"),
    "write": ("f = os.open(d + '/w', os.O_WRONLY | os.O_CREAT)", "os.write(f, b'x')"),
    "fsync": ("f = os.open(d + '/s', os.O_WRONLY | os.O_CREAT); os.write(f, b'x')", "os.fsync(f)"),
    "close": ("f = os.open(d + '/c', os.O_WRONLY | os.O_CREAT); os.write(f, b'x')", "os.close(f)"),
    "stat": ("", "os.stat(d + '/nothing')"),
    "mkdir": ("", "os.mkdir(d + '/made')"),
    "list": ("", "os.listdir(d)"),
    "unlink": ("", "os.unlink(d + '/other')"),
}
"""What is done while the server works, and then while it does not, by the call's name."""
BOUND_S = 5.0
"""See `docs/striping.md`."""


@pytest.mark.parametrize("killed", [False, True])
def test_nobody_waits_for_a_killed_server_longer_than_is_stated(place: Place, killed: bool) -> None:
    (place.store / "other").write_bytes(DATA)
    place.mount()
    pid = place.server()
    with contextlib.ExitStack() as stack:
        waiting = {}
        for call, (before, then) in HANGING.items():
            program = f"import os\nd = '{place.path}'\n{before}\ninput()\n{then}"
            argv, pipe = [sys.executable, "-c", program], subprocess.PIPE
            waiting[call] = stack.enter_context(subprocess.Popen(argv, stdin=pipe, stderr=pipe))
            stack.callback(waiting[call].kill)
        wait_until(lambda: all(waits_in(one.pid, "pipe_read") for one in waiting.values()))
        os.kill(pid, signal.SIGSTOP)
        stack.callback(end, pid)
        for one in waiting.values():
            assert one.stdin is not None
            one.stdin.write(b"\n")
            one.stdin.flush()
        # Those that change the root directory wait for one another instead.
        hanging = [waiting[call] for call in ("read", "write", "fsync", "close")]
        wait_until(lambda: all(waits_in(one.pid, "fuse", "filemap_read") for one in hanging))
        if killed:
            for one in waiting.values():
                one.kill()
        end(pid)
        said = {call: one.communicate(timeout=BOUND_S)[1] for call, one in waiting.items()}
    wait_until_gone(pid)
    if not killed:
        # A page that could not be read is an I/O error.
        errors = (b"not connected", b"aborted", b"connection abort", b"Input/output")
        assert all(any(error in text for error in errors) for text in said.values()), said


def end(pid: int) -> None:
    """Kill a process, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_mount_replaces_one_whose_server_was_killed(place: Place) -> None:
    place.mount()
    pid = place.server()
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert place.mount().returncode == 0
    (place.path / "file").write_bytes(DATA)
    assert sum(one.point == str(place.path) for one in kernel.mount_points()) == 1
    assert place.mount().returncode == 2


def test_umount_leaves_what_is_not_ours(place: Place) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", place.path], check=True)
    try:
        assert place.run("umount", place.path).returncode == 2
        assert place.path.is_mount()
    finally:
        subprocess.run(["umount", place.path], check=True)


def test_a_mount_can_be_for_reading_only(place: Place) -> None:
    (place.store / "file").write_bytes(b"data")
    place.mount("-o", "ro,nodev")
    assert (place.path / "file").read_bytes() == b"data"
    with pytest.raises(OSError, match="Read-only"):
        (place.path / "new").write_bytes(b"")


def test_waiting_for_a_store_ends_with_sigterm(place: Place) -> None:
    store = f"hdfs://localhost:{free_port()}/a"
    command = [sys.executable, "-m", "bootseer", "hdfs", "mount", "--wait", store, place.path]
    process = subprocess.Popen(
        [*command, "--config", place.config], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        assert "mount.waiting" in process.stderr.readline()
        process.terminate()
        assert process.wait(60) == 0
    assert not place.mounted


def test_a_name_node_that_is_not_there_yet_is_waited_for(place: Place, hdfs: RunningHdfs) -> None:
    hdfs.name_node.kill()
    with ThreadPoolExecutor(1) as pool:
        try:
            done = place.mount(store=hdfs.address("", "root"))
            assert (done.returncode, "hint:" in done.stderr) == (4, True)
            waiting = pool.submit(place.mount, "--wait", store=hdfs.address("", "root"))
        finally:
            hdfs.start_name_node()
        assert waiting.result().returncode == 0
    (place.path / "waited").write_bytes(DATA)
    assert (place.path / "waited").read_bytes() == DATA
    (place.path / "waited").unlink()


def test_a_mount_works_over_hadoops_own_protocol(
    place: Place, hdfs: RunningHdfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(hdfs.configuration))
    plain = place.config.read_text()
    place.config.write_text(plain.replace("hdfs:", "hdfs:\n  transport: native"))
    assert place.mount(store="hdfs://root@/").returncode == 0
    directory = place.path / "own protocol"
    directory.mkdir()
    (directory / "file").write_bytes(DATA)
    with (directory / "file").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"changed")
    (directory / "file").replace(directory / "other")
    changed = DATA[:1_000_000] + b"changed" + DATA[1_000_007:]
    assert (directory / "other").read_bytes() == changed
    assert os.statvfs(directory).f_bavail > 0
    assert place.run("umount", place.path).returncode == 0
    place.config.write_text(plain)
    assert place.mount(store=hdfs.address("", "root")).returncode == 0
    assert (directory / "other").read_bytes() == changed
    shutil.rmtree(directory)


def test_mount_and_fstab_find_the_helper(place: Place, tmp_path: Path) -> None:
    helper = tmp_path / "sbin/mount.fuse.bootseer-hdfs"
    helper.parent.mkdir()
    shutil.copy(CONFIG_DIRECTORY / "mount/mount.fuse.bootseer-hdfs", helper)
    program = tmp_path / "bootseer"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m bootseer "$@"\n')
    program.chmod(0o755)
    fstab = tmp_path / "fstab"
    point = str(place.path).replace(" ", "\\040")
    options = f"_netdev,config={place.config},log_file={place.log}"
    fstab.write_text(f"file://{place.store} {point} fuse.bootseer-hdfs {options} 0 0\n")
    script = """
    set -eux
    mount -t tmpfs none "$3"; mkdir "$3/up" "$3/work"
    mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$3/up,workdir=$3/work" none /usr/sbin
    cp "$4" /usr/sbin/
    mount -T "$1" "$2"
    test "$(findmnt -n -o FSTYPE,SOURCE "$2" | tr -s ' ')" = "fuse.bootseer-hdfs $5"
    echo data >"$2/file"
    mount -T "$1" -a
    umount "$2"
    mount -t fuse.bootseer-hdfs -o "ro,config=$6,log_file=$7" "$5" "$2"
    cat "$2/file"
    umount "$2"
    """
    room = tmp_path / "room"
    room.mkdir()
    words = [fstab, place.path, room, helper, f"file://{place.store}", place.config, place.log]
    done = subprocess.run(
        ["unshare", "--mount", "--", "sh", "-c", script, "sh", *words],
        env=os.environ | {"BOOTSEER": str(program)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "data\n"), done.stderr
    assert (place.store / "file").read_text() == "data\n"


def test_systemd_is_told_when_the_mount_answers(place: Place, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        command = [sys.executable, "-m", "bootseer", "hdfs", "mount", f"file://{place.store}"]
        process = subprocess.Popen(
            [*command, place.path, "--config", place.config],
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=subprocess.DEVNULL,
        )
        try:
            assert b"READY=1" in manager.recv(1000)
            (place.path / "file").write_bytes(DATA)
        finally:
            process.terminate()
            assert process.wait(60) == 0
    assert not place.mounted


def test_units_are_what_systemd_accepts(tmp_path: Path) -> None:
    program = tmp_path / "bootseer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (CONFIG_DIRECTORY / "systemd/bootseer-hdfs@.service").read_text()
    unit = tmp_path / "bootseer-hdfs@.service"
    unit.write_text(text.replace("/opt/bootseer/bin/bootseer", str(program)))
    argv = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "bootseer-hdfs@mnt-a.service")]
    shutil.copy(unit, tmp_path / "bootseer-hdfs@mnt-a.service")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "bootseer" not in done.stderr, done.stderr


def wait_until(right: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not right():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_gone(pid: int) -> None:
    wait_until(lambda: not is_alive(pid))
