"""Stripes in an HDFS whose DataNodes are machines of their own: stripes in turn on each."""

import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_mount import Mount, checkpoint_mount
from mount_conformance import DATA

from tests.hdfs_lab import HdfsLab

pytestmark = pytest.mark.containers


def counted(mount: Mount) -> dict[str, float]:
    """Return what a mount says that it counted."""
    argv = [sys.executable, "-m", "bootseer", "hdfs", "metrics", str(mount.path)]
    text = subprocess.run(
        [*argv, "--config", str(mount.config)], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in rows}


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
        metrics = counted(mount)
        for address in hdfs.addresses:
            for direction in ("read", "write"):
                labels = f'{{datanode="{address}",direction="{direction}"}}'
                assert metrics[f"bootseer_hdfs_datanode_bytes_total{labels}"] > 4 * 600_000
        for stripe in range(4):
            labels = f'{{stripe="{stripe}",direction="write"}}'
            assert metrics[f"bootseer_hdfs_stripe_calls_total{labels}"] == 4
            assert metrics[f"bootseer_hdfs_stripe_under_way{labels}"] == 0
        assert metrics['bootseer_hdfs_start_seconds{phase="store"}'] > 0
        assert '"store_s"' in mount.log.read_text() or "store_s=" in mount.log.read_text()
        for number in range(4):
            (mount.path / f"even{number}").unlink()
