"""Snapshots in a real HDFS."""

from pathlib import Path

import pytest
from depsnap_world import StepWorld, make_step_world

from benchmarks.lab.hdfs import Hdfs

pytestmark = pytest.mark.containers


@pytest.fixture
def world(tmp_path: Path) -> StepWorld:
    return make_step_world(tmp_path)


def test_a_snapshot_in_hdfs_is_kept_restored_verified_and_removed(
    world: StepWorld, hdfs: Hdfs
) -> None:
    store = ("--store", hdfs.address("depsnap/not there", "root"))
    first = world.step(*store)
    assert "kept" in first.stderr, first.stderr
    made = (world.root / "package/large").read_bytes()
    world.fresh()
    second = world.step(*store, "--require-snapshot")
    assert second.returncode == 0, second.stderr
    assert (world.root / "package/large").read_bytes() == made
    assert "1 snapshots, 0 damaged" in world.deps("verify", "job", *store).stdout
    assert world.deps("rm", "job", *store).returncode == 0
    assert world.deps("gc", "--grace", "0", *store).returncode == 0
    assert world.deps("ls", *store).stdout.count("\n") == 1
    assert not world.store.exists()
