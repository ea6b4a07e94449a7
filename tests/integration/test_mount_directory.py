"""Striped files on a directory, through a real mount."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_mount import Mount, checkpoint_mount
from mount_conformance import *  # noqa: F403  (every test there)
from mount_conformance import DATA

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def mounted(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    with checkpoint_mount(f"file://{store}", tmp_path_factory.mktemp("mount")) as mount:
        yield mount


@pytest.fixture
def mnt(mounted: Mount, store: Path) -> Iterator[Path]:
    directory = mounted.path / "test"
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)
    wait_until_nothing_is_left(store)


def wait_until_nothing_is_left(store: Path) -> None:
    """The last close of a removed file, which removes its stripes, is not waited for by anybody."""
    deadline = time.monotonic() + 20
    while stripes(store):
        assert time.monotonic() < deadline, stripes(store)
        time.sleep(0.05)


def stripes(store: Path) -> list[Path]:
    return [path for path in (store / ".bootseer").rglob("*") if path.is_file()]


def bootseer(*argv: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bootseer", "hdfs", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_large_files_are_striped_and_small_ones_are_plain(mnt: Path, store: Path) -> None:
    (mnt / "small").write_bytes(DATA[:1000])
    (mnt / "large").write_bytes(DATA)
    assert (store / "test/small").read_bytes() == DATA[:1000]
    assert len(stripes(store)) == 4
    found = bootseer("stat", f"file://{store}//test/large", "--json")
    document = json.loads(found.stdout)
    assert (document["kind"], document["size"]) == ("striped", len(DATA))
    assert [segment["stripes"] for segment in document["segments"]] == [4]


def test_files_that_are_gone_leave_no_stripes(mnt: Path, store: Path) -> None:
    (mnt / "a").write_bytes(DATA)
    (mnt / "b").write_bytes(DATA)
    (mnt / "a").replace(mnt / "b")
    (mnt / "b").write_bytes(b"short")
    (mnt / "c").write_bytes(DATA)
    (mnt / "c").unlink()
    wait_until_nothing_is_left(store)


def test_files_of_other_tools_are_ordinary_files(mnt: Path, store: Path) -> None:
    (store / "test/small").write_bytes(DATA[:1000])
    (store / "test/large").write_bytes(DATA)
    assert (mnt / "small").read_bytes() == DATA[:1000]
    assert (mnt / "large").read_bytes() == DATA
    with (mnt / "large").open("ab") as file:
        file.write(b"more")
    assert (mnt / "large").read_bytes() == DATA + b"more"


def test_a_damaged_stripe_is_an_error_never_wrong_bytes(mnt: Path, store: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    stripe = min(stripes(store))
    damaged = bytearray(stripe.read_bytes())
    damaged[100] ^= 1
    stripe.write_bytes(damaged)
    with pytest.raises(OSError, match="Input/output"):
        (mnt / "file").read_bytes()
    stripe.unlink()
    with pytest.raises(OSError, match=r"No such file|Input/output"):
        (mnt / "file").read_bytes()


def test_a_damaged_manifest_is_an_error_and_can_be_removed(mnt: Path, store: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    manifest = store / "test/file"
    manifest.write_bytes(manifest.read_bytes()[:-1])
    with pytest.raises(OSError, match="Input/output"):
        (mnt / "file").read_bytes()
    (mnt / "file").unlink()
    for stripe in stripes(store):
        stripe.unlink()


def test_our_own_files_are_not_shown(mnt: Path, mounted: Mount) -> None:
    (mnt / "file").write_bytes(DATA)
    assert ".bootseer" not in {path.name for path in mounted.path.iterdir()}
    assert not (mounted.path / ".bootseer").exists()


def test_what_is_written_is_seen_by_another_mount_that_opens_then(
    mnt: Path, store: Path, tmp_path: Path
) -> None:
    (mnt / "file").write_bytes(DATA)
    with checkpoint_mount(f"file://{store}", tmp_path) as other:
        assert (other.path / "test/file").read_bytes() == DATA
        (other.path / "test/file").write_bytes(DATA[::-1])
        assert (mnt / "file").read_bytes() == DATA[::-1]


def test_stopping_publishes_what_is_open(store: Path, tmp_path: Path) -> None:
    with checkpoint_mount(f"file://{store}", tmp_path) as mount:
        file = (mount.path / "stopped").open("wb", 0)
        file.write(DATA)
        assert mount.stop() == 0
        mount.start()
        assert (mount.path / "stopped").read_bytes() == DATA
        (mount.path / "stopped").unlink()
        with pytest.raises(OSError, match=r"not connected|aborted"):
            file.write(b"more")
        with pytest.raises(OSError, match=r"not connected|aborted"):
            file.close()


def test_a_killed_mount_leaves_what_was_synced_and_nothing_half(
    store: Path, tmp_path: Path
) -> None:
    with checkpoint_mount(f"file://{store}", tmp_path) as mount:
        synced = (mount.path / "synced").open("wb", 0)
        synced.write(DATA)
        os.fsync(synced.fileno())
        synced.write(DATA)
        half = (mount.path / "half").open("wb", 0)
        half.write(DATA)
        (mount.path / "whole").write_bytes(DATA)
        changed = (mount.path / "whole").open("r+b", 0)
        changed.write(b"changed")
        mount.kill()
        for file in (synced, half, changed):
            with pytest.raises(OSError, match=r"not connected|aborted"):
                file.close()
        mount.start()
        assert (mount.path / "synced").read_bytes() == DATA
        assert (mount.path / "half").read_bytes() == b""
        assert (mount.path / "whole").read_bytes() == DATA
        for name in ("synced", "half", "whole"):
            (mount.path / name).unlink()
    shutil.rmtree(store / ".bootseer")


def write_here_and_there(descriptor: int) -> None:
    for offset in range(len(DATA) - 10, 0, -70_000):
        os.pwrite(descriptor, b"change", offset)


def test_a_full_spool_is_enospc_and_the_file_stays_as_it_was(store: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "spool", spool], check=True)
    try:
        with checkpoint_mount(f"file://{store}", tmp_path) as mount:
            file = mount.path / "spooled"
            file.write_bytes(DATA)
            with file.open("r+b", 0) as opened, pytest.raises(OSError, match="No space"):
                write_here_and_there(opened.fileno())
            assert file.stat().st_size == len(DATA)
            file.write_bytes(DATA[::-1])  # in order: needs no spool
            assert file.read_bytes() == DATA[::-1]
            file.unlink()
    finally:
        subprocess.run(["umount", "-l", spool], check=True)


def test_a_mistake_is_said_before_anything_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    for store, code in (("ftp://a", 2), ("file:///none", 3), ("file://host/a", 2)):
        done = bootseer("mount", store, tmp_path / "mnt")
        assert (done.returncode, "error:" in done.stderr) == (code, True)
    assert bootseer("umount", tmp_path / "mnt").returncode == 2
    assert bootseer("stat", f"file://{tmp_path}//none").returncode == 3
