"""Stripes in an HDFS whose DataNodes are machines of their own: stripes in turn on each."""

from pathlib import Path

import pytest
from checkpoint_mount import checkpoint_mount
from mount_conformance import DATA

from tests.hdfs_lab import HdfsLab

pytestmark = pytest.mark.containers


def test_the_stripes_of_a_file_are_spread_evenly_over_the_data_nodes(
    hdfs_lab: HdfsLab, tmp_path: Path
) -> None:
    hdfs = hdfs_lab.hdfs
    enter = hdfs_lab.net.hub.enter

    def stripes() -> list[int]:
        return [
            sum(block.stat().st_size > 600_000 for block in place.rglob("blk_*"))
            for place in hdfs.data
        ]

    before = stripes()
    with checkpoint_mount(hdfs.address("", "root"), tmp_path, enter=enter) as mount:
        for number in range(4):
            (mount.path / f"even{number}").write_bytes(DATA)
            assert (mount.path / f"even{number}").read_bytes() == DATA
        assert [after - old for after, old in zip(stripes(), before, strict=True)] == [4] * 4
        for number in range(4):
            (mount.path / f"even{number}").unlink()
