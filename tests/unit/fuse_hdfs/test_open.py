"""`fuse_hdfs.open`: files of a store for Python programs."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fuse_hdfs
from bootseer.errors import NotFoundError
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.writing import Striping

SMALL = Settings(Striping(64 << 10, 3), small=1000, cache=4 << 20)
DATA = random.Random(8).randbytes(3_000_017)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file://{tmp_path}"


def test_a_file_that_was_written_is_read(store: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with fuse_hdfs.open(store, "d/file", "wb", SMALL) as file:
        file.write(DATA[:1000])
        file.write(DATA[1000:])
        assert (tmp_path / "d/file").stat().st_size == 0
    assert len(list(tmp_path.glob(".bootseer/segments/*/*/*"))) == 3
    with fuse_hdfs.open(store, "d/file") as file:
        assert file.read() == DATA
        file.seek(-10, 2)
        assert file.read() == DATA[-10:]


def test_a_file_is_changed_in_the_middle(store: str) -> None:
    with fuse_hdfs.open(store, "file", "xb", SMALL) as file:
        file.write(DATA)
    with fuse_hdfs.open(store, "file", "r+b", SMALL) as file:
        file.seek(1_000_000)
        file.write(b"changed")
        file.truncate(2_000_000)
        file.seek(999_999)
        assert file.read(9) == DATA[999_999:1_000_000] + b"changed" + DATA[1_000_007:1_000_008]
    with fuse_hdfs.open(store, "file") as file:
        assert file.read() == DATA[:1_000_000] + b"changed" + DATA[1_000_007:2_000_000]


def test_libraries_that_take_files_take_these(store: str) -> None:
    array = np.arange(300_000)
    with fuse_hdfs.open(store, "array.npz", "w+b", SMALL) as file:
        np.savez(file, array=array)
    with fuse_hdfs.open(store, "array.npz") as file:
        assert zipfile.ZipFile(file).testzip() is None
        file.seek(0)
        assert np.array_equal(np.load(file)["array"], array)


def test_mistakes_are_those_of_open(store: str) -> None:
    with pytest.raises(FileNotFoundError):
        fuse_hdfs.open(store, "none")
    with pytest.raises(FileNotFoundError):
        fuse_hdfs.open(store, "none/file", "wb")
    fuse_hdfs.open(store, "file", "xb").close()
    with pytest.raises(FileExistsError):
        fuse_hdfs.open(store, "file", "xb")
    with pytest.raises(ValueError, match="mode"):
        fuse_hdfs.open(store, "file", "r")
    with pytest.raises(NotFoundError):
        fuse_hdfs.open("file:///none", "file")


def test_a_file_is_appended_to(store: str) -> None:
    for part in (DATA[:1_000_000], DATA[1_000_000:]):
        with fuse_hdfs.open(store, "file", "ab", SMALL) as file:
            file.write(part)
    with fuse_hdfs.open(store, "file", "a+b", SMALL) as file:
        file.seek(0)
        assert file.read(10) == DATA[:10]
        file.write(b"more")
    with fuse_hdfs.open(store, "file") as file:
        assert file.read() == DATA + b"more"
