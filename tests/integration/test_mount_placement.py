"""Stripes in an HDFS whose DataNodes are machines of their own: stripes in turn on each."""

import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_mount import Mount, checkpoint_mount
from mount_conformance import DATA

from tests.hdfs_lab import HdfsLab
from tooling import hadoop

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

    def stripes() -> list[set[str]]:
        return [
            {block.name for block in place.rglob("blk_*") if block.stat().st_size > 600_000}
            for place in hdfs.data
        ]

    before = stripes()
    with checkpoint_mount(hdfs.address("", "root"), tmp_path, enter=enter) as mount:
        for number in range(4):
            (mount.path / f"even{number}").write_bytes(DATA)
            assert (mount.path / f"even{number}").read_bytes() == DATA
        new = [len(after - old) for after, old in zip(stripes(), before, strict=True)]
        assert new == [4] * 4
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


def hadoop_shell(hdfs_lab: HdfsLab, *words: object) -> bytes:
    """Do what `hdfs dfs` does: this is another tool."""
    jars, configuration = hadoop.ensure(), hdfs_lab.hdfs.data[0].parent
    java = ["java", "-cp", f"{jars}/*:{configuration}", "org.apache.hadoop.fs.FsShell"]
    argv = [*hdfs_lab.net.hub.enter, *java, *map(str, words)]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_what_another_tool_wrote_is_read_from_all_copies_of_its_blocks(
    hdfs_lab: HdfsLab, tmp_path: Path
) -> None:
    (tmp_path / "foreign").write_bytes(DATA)
    sizes = ("-D", "dfs.blocksize=1048576", "-D", "dfs.replication=3")
    hadoop_shell(hdfs_lab, *sizes, "-put", tmp_path / "foreign", "/foreign")
    enter = hdfs_lab.net.hub.enter
    with checkpoint_mount(hdfs_lab.hdfs.address("", "root"), tmp_path, enter=enter) as mount:
        assert (mount.path / "foreign").read_bytes() == DATA
        metrics = counted(mount)
        served = [
            metrics.get(f'bootseer_hdfs_datanode_bytes_total{{datanode="{one}",direction="read"}}')
            for one in hdfs_lab.hdfs.addresses
        ]
        assert sum(bool(one) for one in served) >= 3
        (mount.path / "foreign").unlink()


def test_another_tool_reads_what_was_exported_and_what_was_sealed(
    hdfs_lab: HdfsLab, tmp_path: Path
) -> None:
    store, enter = hdfs_lab.hdfs.address("", "root"), hdfs_lab.net.hub.enter
    with checkpoint_mount(store, tmp_path, enter=enter) as mount:
        (mount.path / "large").write_bytes(DATA)
        (mount.path / "few").write_bytes(DATA[:250_000])  # no more units than stripes

        def bootseer(*words: str) -> None:
            argv = [*enter, sys.executable, "-m", "bootseer", "hdfs", *words]
            subprocess.run(argv, capture_output=True, check=True)

        bootseer("export", f"{store}/large", f"{store}//exported")
        bootseer("seal", f"{store}/few")
        assert hadoop_shell(hdfs_lab, "-cat", "/exported") == DATA
        assert hadoop_shell(hdfs_lab, "-cat", "/few") == DATA[:250_000]
        assert (mount.path / "few").read_bytes() == DATA[:250_000]
        for name in ("large", "exported", "few"):
            (mount.path / name).unlink()
