"""What a mount does when parts of HDFS, its disk or it itself are gone. Every byte is compared."""

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from checkpoint_mount import CONFIG, Mount, checkpoint_mount, until

from benchmarks.lab.hadoop_servers import write_site
from bootseer import kernel
from tests.hdfs_lab import HdfsLab

pytestmark = pytest.mark.containers

DATA = random.Random(12).randbytes(3_000_017)
LARGE = random.Random(13).randbytes(24_000_011)
"""More than is read ahead."""
IMPATIENT = CONFIG.replace("timeout: 15", "timeout: 4")
IO_ERRORS = {errno.EIO, errno.ETIMEDOUT}


@contextlib.contextmanager
def mounted(lab: HdfsLab, directory: Path, text: str = CONFIG, copies: int = 1) -> Iterator[Mount]:
    """Mount the cluster in a directory of its own."""
    directory.mkdir(exist_ok=True)
    write_site(directory / "hdfs-site.xml", {"dfs.replication": str(copies)})
    enter = [*lab.net.hub.enter, "env", f"HADOOP_CONF_DIR={directory}"]
    address = lab.hdfs.address("", "root")
    with checkpoint_mount(address, directory, text, enter) as mount:
        yield mount


@contextlib.contextmanager
def broken(lab: HdfsLab, how: str, number: int) -> Iterator[None]:
    """Break a DataNode, and repair it."""
    server = lab.hdfs.servers[number]
    if how == "killed":
        server.kill()
    elif how == "stopped":
        server.pause()
    else:
        lab.net.set_link(number, up=False)
    try:
        yield
    finally:
        if how == "killed":
            lab.hdfs.start_data_node(number)
        elif how == "stopped":
            server.process.send_signal(signal.SIGCONT)
        else:
            lab.net.set_link(number, up=True)


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """Return so many of the next bytes of a file, fewer only at its end."""
    parts = []
    while size and (part := file.read(min(size, 300_007))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def holder(lab: HdfsLab, name: str) -> int:
    """Return a DataNode that has bytes of a striped file.

    Which do is not said beforehand: one that was only just started again gets no stripes.
    """
    file = f"{lab.hdfs.address('', 'root')}/{name}"
    argv = [*lab.net.hub.enter, sys.executable, "-m", "bootseer", "hdfs", "stat", file, "--json"]
    done = subprocess.run(argv, capture_output=True, check=True)
    stripes = [part for one in json.loads(done.stdout)["segments"] for part in one["parts"]]
    places = [place for part in stripes for block in part["blocks"] for place in block["places"]]
    return lab.hdfs.addresses.index(places[0])


def unfinished(lab: HdfsLab) -> dict[Path, int]:
    """Return the blocks that are being written, and ever were but for their end, by DataNode."""
    return {
        block: number
        for number, place in enumerate(lab.hdfs.data)
        for block in place.glob("current/*/current/rbw/blk_*")
        if block.suffix != ".meta"
    }


def receiver(lab: HdfsLab, before: Collection[Path]) -> int:
    """Return a DataNode to which a stripe is being written, as soon as there is one."""
    found: list[int] = []

    def seen() -> bool:
        new = [one for one in unfinished(lab).items() if one[0] not in before]
        found.extend(number for block, number in new if block.stat().st_size)
        return bool(found)

    until(seen)
    return found[0]


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
def test_with_three_copies_a_lost_data_node_takes_nothing_along(
    hdfs_lab: HdfsLab, tmp_path: Path, how: str
) -> None:
    name = f"three-{how}"
    with mounted(hdfs_lab, tmp_path / "a", copies=3) as mount:
        (mount.path / name).write_bytes(DATA)
        with broken(hdfs_lab, how, holder(hdfs_lab, name)):
            assert (mount.path / name).read_bytes() == DATA
            with mounted(hdfs_lab, tmp_path / "b", copies=3) as other:
                assert (other.path / name).read_bytes() == DATA

                def written() -> bool:
                    (other.path / f"{name}-new").write_bytes(DATA[::-1])
                    return True

                until(written)
                assert (other.path / f"{name}-new").read_bytes() == DATA[::-1]
        assert (mount.path / f"{name}-new").read_bytes() == DATA[::-1]
        for one in (name, f"{name}-new"):
            (mount.path / one).unlink()


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
def test_a_data_node_lost_while_a_file_is_read_is_not_noticed_where_there_are_copies(
    hdfs_lab: HdfsLab, tmp_path: Path, how: str
) -> None:
    name = f"reading-{how}"
    with mounted(hdfs_lab, tmp_path, copies=3) as mount:
        path = mount.path / name
        path.write_bytes(LARGE)
        lost = holder(hdfs_lab, name)
    with mounted(hdfs_lab, tmp_path, copies=3) as mount:
        path = mount.path / name
        with path.open("rb", 0) as file:
            found = read_exactly(file, 2_000_003)
            with broken(hdfs_lab, how, lost):
                found += read_exactly(file, len(LARGE))
        assert found == LARGE
        path.unlink()


def test_a_new_mount_reads_everything_without_a_data_node_that_has_just_died(
    hdfs_lab: HdfsLab, tmp_path: Path
) -> None:
    """The NameNode goes on naming it for a while, time and again."""
    names = [f"many-{number}" for number in range(24)]
    with mounted(hdfs_lab, tmp_path, copies=2) as mount:
        for name in names:
            (mount.path / name).write_bytes(DATA[:20_011])
    with mounted(hdfs_lab, tmp_path, copies=2) as mount:
        with broken(hdfs_lab, "killed", 0):  # which has a copy of half of them
            for name in names:
                assert (mount.path / name).read_bytes() == DATA[:20_011]
        for name in names:
            (mount.path / name).unlink()


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
def test_with_one_copy_a_lost_data_node_is_an_error_until_it_is_back(
    hdfs_lab: HdfsLab, tmp_path: Path, how: str
) -> None:
    name = f"one-{how}"
    with mounted(hdfs_lab, tmp_path, IMPATIENT) as mount:
        (mount.path / name).write_bytes(DATA)
    with mounted(hdfs_lab, tmp_path, IMPATIENT) as mount:
        with broken(hdfs_lab, how, holder(hdfs_lab, name)):
            with pytest.raises(OSError, match="Errno") as caught:
                (mount.path / name).read_bytes()
            assert caught.value.errno in IO_ERRORS

            def written() -> bool:
                (mount.path / f"{name}-new").write_bytes(DATA[::-1])
                return True

            until(written)
            assert (mount.path / f"{name}-new").read_bytes() == DATA[::-1]
        until(lambda: (mount.path / name).read_bytes() == DATA)
        for one in (name, f"{name}-new"):
            (mount.path / one).unlink()


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
@pytest.mark.parametrize("copies", [1, 3])
def test_a_data_node_lost_while_a_file_is_written_is_replaced(
    hdfs_lab: HdfsLab, tmp_path: Path, how: str, copies: int
) -> None:
    name = f"during-{how}-{copies}"
    # Other copies go to nodes that the NameNode chooses: patience until it has missed one.
    text = IMPATIENT if copies == 1 else CONFIG
    with mounted(hdfs_lab, tmp_path, text, copies) as mount:
        path = mount.path / name
        path.write_bytes(b"old")
        before = unfinished(hdfs_lab)
        with path.open("r+b", 0) as file:
            file.truncate(0)
            file.write(DATA[:1_500_000])
            with broken(hdfs_lab, how, receiver(hdfs_lab, before)):
                file.write(DATA[1_500_000:])
                os.fsync(file.fileno())
        with mounted(hdfs_lab, tmp_path / "other") as other:
            until(lambda: (other.path / name).read_bytes() == DATA)
        assert "stripe.again" in mount.log.read_text()
        path.unlink()


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
def test_small_files_are_made_while_a_data_node_is_lost(
    hdfs_lab: HdfsLab, tmp_path: Path, how: str
) -> None:
    with mounted(hdfs_lab, tmp_path) as mount:
        names = [mount.path / f"made-{how}-{number}" for number in range(12)]
        with broken(hdfs_lab, how, 0), ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda path: path.write_bytes(path.name.encode()), names))
        for path in names:
            until(lambda path=path: path.read_bytes() == path.name.encode())  # type: ignore[misc]
            path.unlink()


def _write_the_rest(descriptor: int) -> None:
    os.write(descriptor, DATA[1_500_000:])
    os.fsync(descriptor)


@pytest.mark.parametrize("how", ["killed", "cut off"])
def test_a_data_node_lost_with_what_was_not_kept_is_an_error_and_the_old_file_stays(
    hdfs_lab: HdfsLab, tmp_path: Path, how: str
) -> None:
    name = f"unkept-{how}"
    with mounted(hdfs_lab, tmp_path, f"{IMPATIENT}  keep: 64KiB\n") as mount:
        path = mount.path / name
        path.write_bytes(b"old")
        before = unfinished(hdfs_lab)
        file = path.open("r+b", 0)
        file.truncate(0)
        file.write(DATA[:1_500_000])
        with broken(hdfs_lab, how, receiver(hdfs_lab, before)):
            with pytest.raises(OSError, match="Errno") as caught:
                _write_the_rest(file.fileno())
            assert caught.value.errno in IO_ERRORS
        with contextlib.suppress(OSError):
            file.close()
        until(lambda: path.read_bytes() == b"old")
        until(lambda: path.write_bytes(DATA) == len(DATA))
        assert path.read_bytes() == DATA
        path.unlink()


def test_a_name_node_that_comes_back_in_time_is_only_waited_for(
    hdfs_lab: HdfsLab, tmp_path: Path
) -> None:
    with mounted(hdfs_lab, tmp_path, CONFIG.replace("timeout: 15", "timeout: 60")) as mount:
        (mount.path / "before").write_bytes(DATA)
        hdfs_lab.hdfs.name_node.kill()
        found: list[bytes] = []

        def work() -> None:
            found.append((mount.path / "before").read_bytes())
            (mount.path / "meanwhile").write_bytes(DATA[::-1])
            found.append((mount.path / "meanwhile").read_bytes())

        worker = threading.Thread(target=work)
        worker.start()
        hdfs_lab.hdfs.start_name_node()
        worker.join(120)
        assert found == [DATA, DATA[::-1]]
        for name in ("before", "meanwhile"):
            (mount.path / name).unlink()


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_name_node_that_stays_away_is_an_io_error_and_works_again_later(
    hdfs_lab: HdfsLab, tmp_path: Path, how: str
) -> None:
    server = hdfs_lab.hdfs.name_node
    with mounted(hdfs_lab, tmp_path, IMPATIENT) as mount:
        (mount.path / "file").write_bytes(DATA)
        if how == "killed":
            server.kill()
        else:
            server.pause()
        try:
            with pytest.raises(OSError, match="Errno") as caught:
                (mount.path / "file").write_bytes(DATA[::-1])
            assert caught.value.errno in IO_ERRORS
            with pytest.raises(OSError, match="Errno") as caught:
                (mount.path / "none").stat()
            assert caught.value.errno in IO_ERRORS
        finally:
            if how == "killed":
                hdfs_lab.hdfs.start_name_node()
            else:
                server.process.send_signal(signal.SIGCONT)
        until(lambda: (mount.path / "file").read_bytes() == DATA)
        (mount.path / "file").write_bytes(DATA[::-1])
        assert (mount.path / "file").read_bytes() == DATA[::-1]
        (mount.path / "file").unlink()


def _change(descriptor: int) -> None:
    for offset in range(0, len(DATA) - 10, 100_003):
        os.pwrite(descriptor, b"x", offset)


def test_a_full_spool_is_enospc_and_the_file_stays_as_it_was(
    hdfs_lab: HdfsLab, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", spool], check=True)
    try:
        with mounted(hdfs_lab, tmp_path) as mount:
            path = mount.path / "spooled"
            path.write_bytes(DATA)
            file = path.open("r+b", 0)
            with pytest.raises(OSError, match="Errno") as caught:
                _change(file.fileno())
            assert caught.value.errno == errno.ENOSPC
            with contextlib.suppress(OSError):
                file.close()
            until(lambda: len(path.read_bytes()) == len(DATA))
            model = bytearray(DATA)
            for offset in range(0, len(DATA) - 10, 100_003):
                if path.read_bytes()[offset] == ord("x"):
                    model[offset] = ord("x")
            assert path.read_bytes() == model
            path.write_bytes(DATA[::-1])
            assert path.read_bytes() == DATA[::-1]
            path.unlink()
    finally:
        kernel.unmount(str(spool), lazy=True)


def test_what_was_synced_outlives_the_mount_and_nobody_hangs(
    hdfs_lab: HdfsLab, tmp_path: Path
) -> None:
    endless = (
        "import sys\nwith open(sys.argv[1], 'wb', 0) as f:\n while True: f.write(bytes(65536))"
    )
    with mounted(hdfs_lab, tmp_path) as mount:
        writer = subprocess.Popen(
            [sys.executable, "-c", endless, str(mount.path / "endless")], stderr=subprocess.DEVNULL
        )
        until((mount.path / "endless").exists)
        file = (mount.path / "synced").open("wb", 0)
        file.write(DATA)
        os.fsync(file.fileno())
        file.write(DATA)
        (mount.path / "old").write_bytes(DATA)
        changing = (mount.path / "old").open("r+b", 0)
        changing.write(b"changed")
        mount.kill()
        assert writer.wait(30) == 1
        for one in (file, changing):
            with contextlib.suppress(OSError):
                one.close()
        mount.start()
        assert (mount.path / "synced").read_bytes() == DATA
        assert (mount.path / "old").read_bytes() == DATA
        assert (mount.path / "endless").read_bytes() == b""
        for name in ("synced", "old", "endless"):
            (mount.path / name).unlink()
