"""Striped files in a real HDFS, through a real mount."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_mount import Mount, checkpoint_mount
from mount_conformance import *  # noqa: F403  (every test there)
from mount_conformance import DATA

from tests.hdfs_fixture import RunningHdfs, hdfs

__all__ = ["hdfs"]

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def mounted(hdfs: RunningHdfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
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
    mnt: Path, hdfs: RunningHdfs
) -> None:
    (mnt / "file").write_bytes(DATA)
    (mnt / "file").replace(mnt / "read")
    hdfs.data_node.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(OSError, match=r"timed out|Input/output"):
            (mnt / "written").write_bytes(DATA)
        assert not (mnt / "written").exists()
    finally:
        hdfs.data_node.send_signal(signal.SIGCONT)
    assert (mnt / "read").read_bytes() == DATA
    (mnt / "written").write_bytes(DATA)
    assert (mnt / "written").read_bytes() == DATA
