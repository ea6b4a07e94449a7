"""Open files that several processes or descriptors share, and writers that die.

What the store has is looked at beside the mount, in its directory.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_mount import Mount, checkpoint_mount

pytestmark = pytest.mark.containers

HALF = bytes(range(256)) * 1000
"""More than a small file has: units of it are on their way to stripes when it is closed."""

CHILD_CLOSES = """
child = os.fork()
if child == 0:
    file.close()
    os._exit(0)
os.waitpid(child, 0)
"""
PROGRAM_STARTED = """
subprocess.run(["true"], close_fds=True, check=True)
"""
DUPLICATE_CLOSED = """
os.close(os.dup(file.fileno()))
"""
OPENER_THREAD_ENDED = (
    """
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    file = pool.submit(open, path, "wb", 0).result()
file.write(half)
"""
    + CHILD_CLOSES
)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    (tmp_path / "store").mkdir()
    with checkpoint_mount(f"file://{tmp_path / 'store'}", tmp_path) as mounted:
        yield mounted


def program(between: str, path: Path, enter: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    """Start a program that writes half a file, does something, waits, and writes the other half."""
    text = f"""
import concurrent.futures, os, subprocess, sys
path, half = sys.argv[1], bytes(range(256)) * 1000
file = open(path, "wb", 0)
file.write(half)
{between}
print("half", flush=True)
sys.stdin.readline()
file.write(half)
file.close()
print("whole", flush=True)
sys.stdin.readline()
"""
    argv = [*enter, sys.executable, "-c", text, str(path)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def goes_on(process: "subprocess.Popen[str]") -> None:
    """Let a program go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def says(process: "subprocess.Popen[str]") -> str:
    """Return the next thing that a program says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def published(mount: Mount, name: str, directory: Path) -> bytes:
    """Return what another mount of the store reads."""
    with checkpoint_mount(mount.store, directory) as other:
        return (other.path / name).read_bytes()


@pytest.mark.parametrize(
    "between",
    [CHILD_CLOSES, PROGRAM_STARTED, DUPLICATE_CLOSED, OPENER_THREAD_ENDED],
    ids=["child closes", "program started", "duplicate closed", "opener thread ended"],
)
def test_half_a_file_is_not_published_when_a_copy_of_its_descriptor_is_closed(
    mount: Mount, tmp_path: Path, between: str
) -> None:
    (mount.path / "file").write_bytes(b"old")
    with program(between, mount.path / "file") as process:
        assert says(process) == "half"
        assert (tmp_path / "store/file").read_bytes() == b"old"
        goes_on(process)
        assert says(process) == "whole"
        assert published(mount, "file", tmp_path / "other") == 2 * HALF
        goes_on(process)


def test_a_process_elsewhere_that_has_only_the_file_is_told_apart_too(
    mount: Mount, tmp_path: Path
) -> None:
    (mount.path / "file").write_bytes(b"old")
    alone = tmp_path / "alone"
    alone.touch()
    bind = 'mount --bind "$0" "$1" && shift && exec "$@"'
    enter = ("unshare", "--mount", "sh", "-c", bind, str(mount.path / "file"), str(alone))
    with program(CHILD_CLOSES, alone, enter) as process:
        assert says(process) == "half"
        assert (tmp_path / "store/file").read_bytes() == b"old"
        goes_on(process)
        assert says(process) == "whole"
        assert published(mount, "file", tmp_path / "other") == 2 * HALF
        goes_on(process)


def test_what_a_child_writes_after_its_parent_is_gone_is_published_when_it_closes(
    mount: Mount, tmp_path: Path
) -> None:
    between = """
if os.fork():
    os._exit(0)
"""
    with program(between, mount.path / "file") as process:
        assert says(process) == "half"
        goes_on(process)
        assert says(process) == "whole"
        assert published(mount, "file", tmp_path / "other") == 2 * HALF
        goes_on(process)


def test_who_is_killed_publishes_nothing(mount: Mount, tmp_path: Path) -> None:
    (mount.path / "file").write_bytes(b"old")
    with program(CHILD_CLOSES, mount.path / "file") as process:
        assert says(process) == "half"
        process.kill()
    assert published(mount, "file", tmp_path / "other") == b"old"
    mount.stop()
    assert (tmp_path / "store/file").read_bytes() == b"old"
    assert not list((tmp_path / "store/.bootseer/segments").glob("*/*"))


@pytest.mark.parametrize(
    "end",
    [
        "os._exit(1)",
        "threading.Thread(target=os._exit, args=(1,)).start()\nthreading.Event().wait()",
    ],
    ids=["main thread", "another thread"],
)
def test_who_ends_with_the_file_open_publishes_it(mount: Mount, tmp_path: Path, end: str) -> None:
    with program(f"import threading\n{end}", mount.path / "file") as process:
        assert process.wait(60) == 1
    assert published(mount, "file", tmp_path / "other") == HALF


def test_another_descriptor_that_only_reads_does_not_keep_a_file_from_being_published(
    mount: Mount, tmp_path: Path
) -> None:
    between = "reading = open(path, 'rb')\nunrelated = open(path + '-beside', 'wb')"
    with program(between, mount.path / "file") as process:
        assert says(process) == "half"
        goes_on(process)
        assert says(process) == "whole"
        assert published(mount, "file", tmp_path / "other") == 2 * HALF
        goes_on(process)


def test_what_was_synced_is_published_whoever_has_it_open(mount: Mount, tmp_path: Path) -> None:
    with (mount.path / "file").open("wb", 0) as file:
        file.write(HALF)
        os.fsync(file.fileno())
        assert published(mount, "file", tmp_path / "other") == HALF
