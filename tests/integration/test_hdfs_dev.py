"""`scripts/hdfs-dev`: a cluster for a developer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tooling import hadoop

pytestmark = pytest.mark.containers


def test_a_cluster_stays_until_it_is_told_to_go_and_its_data_nodes_fail_on_request(
    tmp_path: Path,
) -> None:
    jars = hadoop.ensure()
    (tmp_path / "bootseer").mkdir()
    (tmp_path / "bootseer" / jars.name).symlink_to(jars)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}

    def dev(*words: str) -> tuple[int, str]:
        argv = [sys.executable, "-m", "benchmarks.lab.hdfs_dev", *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert dev("status")[0] == 2
    try:
        code, said = dev("up", "--nodes", "2")
        assert code == 0, said
        store = said.split()[said.split().index("store") + 1]
        assert dev("up")[0] == 2
        bootseer = ("run", sys.executable, "-m", "bootseer", "hdfs")
        assert dev(*bootseer, "fsck", store) == (0, "0 files, 0 left behind, 0 kept\n")
        dev("stop-datanode", "0")
        dev("cut-datanode", "0")
        dev("kill-datanode", "1")
        rows = dev("status")[1].splitlines()
        assert [row.split(maxsplit=2)[2] for row in rows[-2:]] == ["stopped, cut off", "killed"]
        assert (dev("kill-datanode", "1")[0], dev("cut-datanode", "2")[0]) == (2, 2)
        dev("mend-datanode", "0")
        dev("mend-datanode", "1")
        rows = dev("status")[1].splitlines()
        assert [row.split(maxsplit=2)[2] for row in rows[-2:]] == ["running", "running"]
    finally:
        assert dev("down")[0] == 0
    assert not (tmp_path / "bootseer/hdfs-dev").exists()
    assert dev("status")[0] == 2
