"""Striped files in a real HDFS, through a real mount."""

import json
import os
import shutil
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkpoint_mount import CONFIG, Mount, checkpoint_mount, until
from mount_conformance import *  # noqa: F403  (every test there)
from mount_conformance import DATA

from benchmarks.lab.hdfs import Hdfs

pytestmark = pytest.mark.containers


def quota(hdfs: Hdfs, path: str, size: int) -> None:
    """Limit the disk space of a directory to `size` bytes; -1: not at all."""
    query = f"op=SETQUOTA&storagespacequota={size}&user.name=root"
    url = f"http://{hdfs.host}/webhdfs/v1{path}?{query}"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()


def raw(hdfs: Hdfs, path: str) -> bytes:
    """Return what HDFS has at a path."""
    url = f"http://{hdfs.host}/webhdfs/v1{path}?op=OPEN&user.name=root"
    with urllib.request.urlopen(url) as response:
        return bytes(response.read())


def put_raw(hdfs: Hdfs, path: str, data: bytes) -> None:
    """Put bytes into HDFS at a path."""
    query = "op=CREATE&overwrite=true&noredirect=true&user.name=root"
    where = f"http://{hdfs.host}/webhdfs/v1{path}?{query}"
    with urllib.request.urlopen(urllib.request.Request(where, method="PUT")) as response:
        url = json.load(response)["Location"]
    urllib.request.urlopen(urllib.request.Request(url, data, method="PUT")).close()


@pytest.fixture(scope="module")
def mounted(hdfs: Hdfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    # root is HDFS' superuser here, as it runs the NameNode: cp and tar want to give files away.
    with checkpoint_mount(hdfs.address("", "root"), tmp_path_factory.mktemp("mount")) as mount:
        yield mount


@pytest.fixture
def mnt(mounted: Mount) -> Iterator[Path]:
    directory = mounted.path / "test"
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


def test_a_data_node_that_hangs_is_an_error_in_time_and_works_again_later(
    hdfs: Hdfs, tmp_path: Path
) -> None:
    text = CONFIG.replace("timeout: 15", "timeout: 4").replace("send_again: 90", "send_again: 1")
    with checkpoint_mount(hdfs.address("", "root"), tmp_path, text) as mount:
        directory = mount.path / "hanging"
        directory.mkdir()
        (directory / "file").write_bytes(DATA)
        (directory / "file").replace(directory / "read")
        hdfs.data_node.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(OSError, match=r"timed out|Input/output"):
                (directory / "written").write_bytes(DATA)
            assert not (directory / "written").exists()
        finally:
            hdfs.data_node.send_signal(signal.SIGCONT)
        # The NameNode may have missed it meanwhile.
        until(lambda: (directory / "read").read_bytes() == DATA)
        until(lambda: (directory / "written").write_bytes(DATA) == len(DATA))
        assert (directory / "written").read_bytes() == DATA
        shutil.rmtree(directory)


def test_a_quota_that_is_used_up_reaches_the_writer(mnt: Path, hdfs: Hdfs) -> None:
    (mnt / "limited").mkdir()
    (mnt / "limited/first").write_bytes(DATA)
    url = f"http://{hdfs.host}/webhdfs/v1/test/limited?op=SETQUOTA&namespacequota=2&user.name=root"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()
    with pytest.raises(OSError, match="quota"):
        (mnt / "limited/second").write_bytes(DATA)
    with pytest.raises(OSError, match="quota"):
        (mnt / "limited/third").mkdir()
    (mnt / "limited/first").write_bytes(DATA[::-1])
    assert (mnt / "limited/first").read_bytes() == DATA[::-1]
    assert [path.name for path in (mnt / "limited").iterdir()] == ["first"]


def test_disk_space_that_is_used_up_reaches_the_writer(mnt: Path, hdfs: Hdfs) -> None:
    (mnt / "first").write_bytes(DATA)
    quota(hdfs, "/.bootseer", 4096)
    try:
        with pytest.raises(OSError, match="quota"):
            (mnt / "second").write_bytes(DATA)
        with pytest.raises(OSError, match="quota"):
            (mnt / "first").write_bytes(DATA[::-1])
        assert (mnt / "first").read_bytes() == DATA
        assert (mnt / "second").read_bytes() == b"", "it was made, and nothing was written"
    finally:
        quota(hdfs, "/.bootseer", -1)
    (mnt / "second").write_bytes(DATA)
    assert (mnt / "second").read_bytes() == DATA


@pytest.mark.parametrize(
    "damaged",
    [
        lambda manifest: manifest[:-1],
        lambda manifest: manifest[:20],
        lambda manifest: manifest[:50] + bytes((manifest[50] ^ 1,)) + manifest[51:],
        lambda manifest: manifest + b"more",
    ],
)
def test_a_manifest_that_was_damaged_is_an_io_error_and_hurts_no_other_file(
    mnt: Path, hdfs: Hdfs, damaged: Callable[[bytes], bytes]
) -> None:
    (mnt / "good").write_bytes(DATA)
    (mnt / "bad").write_bytes(DATA)
    good = raw(hdfs, "/test/bad")
    assert good.startswith(b"BSEERSTR")
    put_raw(hdfs, "/test/bad", damaged(good))
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            (mnt / "bad").read_bytes()
    assert (mnt / "good").read_bytes() == DATA
    put_raw(hdfs, "/test/bad", good)
    assert (mnt / "bad").read_bytes() == DATA


def test_two_mounts_see_what_the_other_closed(mnt: Path, hdfs: Hdfs, tmp_path: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    with checkpoint_mount(hdfs.address("", "root"), tmp_path) as other:
        there = other.path / "test"
        assert (there / "file").read_bytes() == DATA
        with (mnt / "file").open("rb", 0) as reading:
            (there / "file").write_bytes(DATA[::-1])
            assert (mnt / "file").read_bytes() == DATA[::-1]
            assert reading.read(10) == DATA[::-1][:10]
        (there / "new").write_bytes(b"new")
        os.setxattr(there / "new", "user.step", b"5")
        assert (mnt / "new").read_bytes() == b"new"
        assert os.getxattr(mnt / "new", "user.step") == b"5"
        first, second = (mnt / "both").open("wb", 0), (there / "both").open("wb", 0)
        first.write(DATA)
        second.write(DATA[::-1])
        first.close()
        second.close()
        assert (mnt / "both").read_bytes() == DATA[::-1]


def test_who_may_not_is_told_so(mnt: Path, hdfs: Hdfs, tmp_path: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    (mnt / "file").chmod(0o600)
    mnt.chmod(0o755)
    with checkpoint_mount(hdfs.address("", "alice"), tmp_path) as other:
        there = other.path / "test"
        assert [path.name for path in there.iterdir()] == ["file"]
        for attempt in (
            lambda: (there / "new").write_bytes(b""),
            (there / "file").read_bytes,
            lambda: (there / "file").write_bytes(DATA),
            (there / "file").unlink,
            lambda: (there / "file").rename(there / "moved"),
            lambda: (there / "file").chmod(0o666),
            (there / "d").mkdir,
            lambda: os.setxattr(there / "file", "user.a", b""),
        ):
            with pytest.raises(PermissionError):
                attempt()
    assert (mnt / "file").read_bytes() == DATA
    assert [path.name for path in mnt.iterdir()] == ["file"]


def test_names_that_hdfs_has_not_are_refused(mnt: Path) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        (mnt / "a:b").write_bytes(b"")
    with pytest.raises(OSError, match="Invalid or incomplete"):
        Path(os.fsdecode(bytes(mnt) + b"/a\xff")).write_bytes(b"")
