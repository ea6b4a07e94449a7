"""A new program in the place of the one that serves; servers that hang; nobody who serves."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from layer_reader import data_tree, layer_reader, right
from trouble_image import SUMS, publish_indexes, trouble_image
from whole import Bootseer, Whole, bootseer, wait_for, whole

from benchmarks.lab.service import service
from benchmarks.lab.workdir import work_directory
from bootseer import kernel
from bootseer.errors import HostError, UsageError

pytestmark = pytest.mark.containers

BOUND = "fuse: {unserved: 20, standby: 1}\n"
"""A server is killed that was silent for ten seconds; the next one waits beside it after one."""


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, BOUND) as made:
        yield made


def upgrade(daemon: Bootseer) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "bootseer", "snapshotter", "upgrade", "--json", "--config"]
    return subprocess.run(
        [*argv, str(daemon.config)], capture_output=True, text=True, check=False, timeout=120
    )


def test_keeper_and_server_are_replaced_under_a_reader_and_no_read_fails(node: Whole) -> None:
    image = trouble_image(node, "upgraded")
    publish_indexes(node, image)
    node.pull(image.reference)
    keeper = node.daemon.keeper.process.pid
    with layer_reader(data_tree(node.daemon, image)) as reader:
        for _ in range(2):
            before = node.daemon.server_pid()
            reader.begin(50)
            done = upgrade(node.daemon)
            Path("/proc/sys/vm/drop_caches").write_text("1")
            assert done.returncode == 0, done.stderr
            told = json.loads(done.stdout)
            assert (told["old"], told["new"]) == (before, node.daemon.server_pid())
            assert reader.results(50) == [right(image)] * 50
    assert node.daemon.keeper.process.pid == keeper
    assert node.daemon.keeper.process.poll() is None
    said = node.daemon.log()
    assert said.count("keeper.keeper_replaced") == 2
    assert "keeper.server_died" not in said
    assert "block.io_error" not in said


def test_a_program_that_cannot_start_is_refused_and_the_old_one_goes_on(node: Whole) -> None:
    good = node.daemon.config.read_text()
    before = node.daemon.server_pid()
    node.daemon.config.write_text(good + "no: sense\n")
    try:
        assert upgrade(node.daemon).returncode == UsageError.exit_code
        os.kill(node.daemon.keeper.process.pid, signal.SIGHUP)
        wait_for(lambda: "keeper.upgrade_refused" in node.daemon.log(), "the refusal", 60)
    finally:
        node.daemon.config.write_text(good)
    assert node.daemon.status()["pid"] == before
    assert upgrade(node.daemon).returncode == 0


def test_a_server_that_hangs_is_killed_and_reads_go_on_with_the_next(node: Whole) -> None:
    image = trouble_image(node, "hanging")
    publish_indexes(node, image)
    node.pull(image.reference)
    before = node.daemon.server_pid()
    with layer_reader(data_tree(node.daemon, image)) as reader:
        os.kill(before, signal.SIGSTOP)
        assert reader.read() == [right(image)]
    assert node.daemon.server_pid() != before
    assert f"keeper.server_silent pid={before}" in node.daemon.log()


def standby_of(daemon: Bootseer) -> int:
    """Wait for a server that is ready beside the one that serves; return its process id."""

    def found() -> list[int]:
        started = re.findall(r"keeper.standby_ready pid=(\d+)", daemon.log())
        alive = [int(pid) for pid in started if Path(f"/proc/{pid}/exe").exists()]
        return [pid for pid in alive if pid != daemon.server_pid()]

    wait_for(found, "a server that waits")
    return found()[0]


def test_the_next_server_waits_beside_the_one_that_serves_and_takes_over(node: Whole) -> None:
    image = trouble_image(node, "standby")
    publish_indexes(node, image)
    node.pull(image.reference)
    with layer_reader(data_tree(node.daemon, image)) as reader:
        for _ in range(2):
            waiting = standby_of(node.daemon)
            Path("/proc/sys/vm/drop_caches").write_text("1")
            reader.begin(20)
            node.kill_server()
            assert node.daemon.server_pid() == waiting
            assert reader.results(20) == [right(image)] * 20


def test_a_waiting_server_goes_on_with_what_it_knew_where_the_configuration_is_broken_now(
    node: Whole,
) -> None:
    waiting = standby_of(node.daemon)
    good = node.daemon.config.read_text()
    node.daemon.config.write_text(good + "no: sense\n")
    try:
        os.kill(node.daemon.server_pid(), signal.SIGKILL)
        wait_for(lambda: "config.unusable" in node.daemon.log(), "the next server")
    finally:
        node.daemon.config.write_text(good)
    node.wait_connected()
    assert node.daemon.server_pid() == waiting


def test_a_waiting_server_that_ended_is_not_waited_for(node: Whole) -> None:
    waiting = standby_of(node.daemon)
    os.kill(waiting, signal.SIGKILL)
    node.kill_server()
    assert node.daemon.server_pid() != waiting


def test_a_waiting_server_ends_with_its_keeper() -> None:
    with work_directory() as directory, whole(directory, BOUND) as node:
        waiting = standby_of(node.daemon)
        node.daemon.keeper.process.kill()
        wait_for(lambda: not Path(f"/proc/{waiting}/exe").exists(), "its end")


def test_when_nobody_serves_for_too_long_readers_get_errors(tmp_path: Path) -> None:
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\nexec sleep 1000\n")
    server.chmod(0o755)
    root = tmp_path / "r"
    root.mkdir()
    argv = [sys.executable, "-m", "snapshotter.blocks.keeper", "--unserved=3"]
    with service("keeper", [*argv, str(root), str(server)], tmp_path / "log") as keeper:
        wait_for(lambda: kernel.find_mount(root / "blocks"), "the mount")
        reading = subprocess.run(
            ["stat", str(root / "blocks/0123456789ab")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert reading.returncode != 0
        assert keeper.process.wait(30) == 1
    said = (tmp_path / "log").read_text()
    assert "keeper.server_silent" in said
    assert "keeper.giving_up unserved_s=" in said
    assert kernel.find_mount(root / "blocks") is None


def family(pid: int) -> dict[int, bytes]:
    """Return a process and all below it, with their command lines; not what ends meanwhile."""
    found: dict[int, bytes] = {}
    with suppress(FileNotFoundError, ProcessLookupError):
        found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in path.read_text().split():
                found |= family(int(child))
    return found


def files_of(pid: int) -> set[str]:
    """Return what a process has open or mapped."""
    opened = {
        str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()
    }
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return opened | {line.split(maxsplit=5)[5] for line in lines if len(line.split()) > 5}


def test_no_process_of_ours_has_a_file_open_inside_our_own_mounts(node: Whole) -> None:
    image = trouble_image(node, "descriptors")
    publish_indexes(node, image)
    node.pull(image.reference)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    bootseer("cache", "verify", "--config", str(node.daemon.config))
    inside = tuple(f"{point}/" for point in node.daemon.mounts())
    looked_at = 0
    for pid, command in family(node.daemon.keeper.process.pid).items():
        if b"snapshotter.blocks.readahead" in command:
            continue  # another process, as everybody's: it opens block files, and we serve them
        try:
            found = files_of(pid)
        except FileNotFoundError:
            continue  # it has ended meanwhile
        looked_at += 1
        assert not [path for path in found if path.startswith(inside)], command
    assert looked_at >= 3, "keeper, server, workers"


def test_upgrading_without_a_daemon_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "bootseer.yaml"
    config.write_text(f"root: {tmp_path}\nrun_dir: {tmp_path}\naddress: {tmp_path}/s.sock\n")
    argv = [sys.executable, "-m", "bootseer", "snapshotter", "upgrade", "--config", str(config)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == HostError.exit_code
