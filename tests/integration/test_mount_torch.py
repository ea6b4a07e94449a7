"""PyTorch's checkpoints, and tables of pandas, on a mount of a real HDFS."""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import safetensors.numpy
from checkpoint_mount import checkpoint_mount

from benchmarks.images.torch_root import entered
from benchmarks.lab.hdfs import Hdfs
from fuse_hdfs.files.torch_archive import TAIL, order_of

pytestmark = pytest.mark.containers

PROGRAMS = Path(__file__).parent / "torch_programs.py"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def mnt(hdfs: Hdfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with checkpoint_mount(hdfs.address("", "root"), tmp_path_factory.mktemp("torch")) as mount:
        (mount.path / "torch").mkdir()
        yield mount.path / "torch"


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Debian's Python has to import besides its own packages."""
    found = tmp_path_factory.mktemp("libraries")
    source = Path(google_crc32c.__file__).parent
    shutil.copytree(source, found / source.name)  # in pure Python where its C does not fit
    return found


def run_torch(program: str, where: str, mnt: Path, libraries: Path) -> None:
    shared = [mnt.parent, libraries, REPOSITORY]
    path = f"PYTHONPATH={REPOSITORY}:{libraries}"
    argv = [*entered(shared), "env", path, "python3", str(PROGRAMS), program, where]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("program", ["save_and_load", "safetensors", "distributed"])
def test_what_was_saved_is_loaded(mnt: Path, libraries: Path, program: str) -> None:
    directory = mnt / program
    directory.mkdir()
    run_torch(program, str(directory), mnt, libraries)
    assert list(directory.rglob("*tmp*")) == []


def test_many_tensors_are_loaded_by_their_numbers(mnt: Path, libraries: Path) -> None:
    directory = mnt / "many"
    directory.mkdir()
    run_torch("many_tensors", str(directory), mnt, libraries)
    data = (directory / "many.pt").read_bytes()
    order = order_of(len(data), data[-TAIL:])
    assert order is not None
    read = b"".join(data[part.start : part.end] for part in order.stretches(0, len(data)))
    found = [read.index(struct.pack("<f", number) * 100_000) for number in range(40)]
    assert found == sorted(found)


def test_what_was_saved_by_fsspec_is_loaded(mnt: Path, libraries: Path, hdfs: Hdfs) -> None:
    store = hdfs.address("", "root").replace("webhdfs://", "bootseer-hdfs://")
    run_torch("by_fsspec", f"{store}/torch/by_fsspec", mnt, libraries)
    names = {path.name for path in (mnt / "by_fsspec/dcp").iterdir()}
    assert names == {".metadata", *(f"__{rank}_0.distcp" for rank in range(3))}


def test_tables_of_pandas_are_saved_loaded_and_seen_on_the_mount(
    mnt: Path, libraries: Path, hdfs: Hdfs
) -> None:
    store = hdfs.address("", "root").replace("webhdfs://", "bootseer-hdfs://")
    run_torch("tables", f"{store}/torch/tables", mnt, libraries)
    rows = (mnt / "tables/table.csv").read_text().splitlines()
    assert (rows[0], rows[-1].partition(",")[0], len(rows)) == ("step,loss", "19999", 20_001)


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
