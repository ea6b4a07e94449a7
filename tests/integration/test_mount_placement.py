"""Stripes in an HDFS whose DataNodes are machines of their own: stripes in turn on each."""

from pathlib import Path

import pytest
from checkpoint_mount import checkpoint_mount
from mount_conformance import DATA

from benchmarks.lab.hdfs import running_hdfs
from benchmarks.lab.hdfs_network import hdfs_network

pytestmark = pytest.mark.containers


def test_the_stripes_of_a_file_are_spread_evenly_over_the_data_nodes(tmp_path: Path) -> None:
    with (
        hdfs_network(2) as network,
        running_hdfs(tmp_path / "cluster", network.hub, network.data_nodes) as hdfs,
        checkpoint_mount(hdfs.address("", "root"), tmp_path, enter=network.hub.enter) as mount,
    ):
        for number in range(4):
            (mount.path / f"file{number}").write_bytes(DATA)
            assert (mount.path / f"file{number}").read_bytes() == DATA
        stripes = [
            sum(block.stat().st_size > 600_000 for block in place.rglob("blk_*"))
            for place in hdfs.data
        ]
    assert stripes == [8, 8]
