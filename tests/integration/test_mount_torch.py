"""PyTorch's checkpoints on a mount of a real HDFS."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from checkpoint_mount import checkpoint_mount

from benchmarks.images.torch_root import entered
from benchmarks.lab.hdfs import Hdfs

pytestmark = pytest.mark.containers

PROGRAMS = Path(__file__).parent / "torch_programs.py"


@pytest.fixture(scope="module")
def mnt(hdfs: Hdfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with checkpoint_mount(hdfs.address("", "root"), tmp_path_factory.mktemp("torch")) as mount:
        (mount.path / "torch").mkdir()
        yield mount.path / "torch"


@pytest.mark.parametrize("program", ["save_and_load", "safetensors", "distributed"])
def test_what_was_saved_is_loaded(mnt: Path, program: str) -> None:
    directory = mnt / program
    directory.mkdir()
    argv = [*entered([mnt.parent, PROGRAMS.parent]), "python3", str(PROGRAMS), program]
    done = subprocess.run([*argv, str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(directory.rglob("*tmp*")) == []


def test_what_safetensors_saved_is_what_another_mount_maps(
    mnt: Path, hdfs: Hdfs, tmp_path: Path
) -> None:
    arrays = {"a": np.arange(500_000, dtype=np.float32), "b": np.ones((3, 4), dtype=np.int64)}
    safetensors.numpy.save_file(arrays, mnt / "arrays.safetensors")
    with checkpoint_mount(hdfs.address("", "root"), tmp_path) as other:
        found = safetensors.numpy.load_file(other.path / "torch/arrays.safetensors")
        with safetensors.safe_open(other.path / "torch/arrays.safetensors", "np") as opened:
            assert np.array_equal(opened.get_slice("a")[1000:2000], arrays["a"][1000:2000])
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
