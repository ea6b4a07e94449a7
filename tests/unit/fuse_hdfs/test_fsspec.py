"""`bootseer-hdfs://` for fsspec: fsspec's own expectations of a file system, and ours."""

import gc
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from benchmarks.lab.hdfs import Hdfs
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.writing import Striping
from fuse_hdfs.filesystem import BootseerFileSystem

UNIT = 64 << 10
SETTINGS = Settings(Striping(UNIT, 3), small=1000, cache=16 << 20)
DATA = random.Random(7).randbytes(1_000_017)

# fsspec's own tests have fixtures of classes as pytest has them no more soon.
pytestmark = pytest.mark.filterwarnings("ignore:Class-scoped fixture")

fsspec.register_implementation("bootseer-hdfs", BootseerFileSystem)


class Directory(AbstractFixtures):
    @pytest.fixture(scope="class")
    def fs(self, tmp_path_factory: pytest.TempPathFactory) -> BootseerFileSystem:
        return BootseerFileSystem(f"file://{tmp_path_factory.mktemp('volume')}", SETTINGS)

    @pytest.fixture
    def fs_path(self) -> str:
        return "tests"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return True


class TestCopy(AbstractCopyTests, Directory):
    pass


class TestGet(AbstractGetTests, Directory):
    pass


class TestPut(AbstractPutTests, Directory):
    pass


class TestPipe(AbstractPipeTests, Directory):
    pass


class TestOpen(AbstractOpenTests, Directory):
    pass


@pytest.fixture(params=["directory", "hdfs"])
def fs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BootseerFileSystem]:
    if request.param == "directory":
        (tmp_path / "volume").mkdir()
        store = f"file://{tmp_path / 'volume'}"
    else:
        hdfs: Hdfs = request.getfixturevalue("hdfs")
        name = "".join(c if c.isalnum() else "-" for c in request.node.name)
        root = fsspec.filesystem("bootseer-hdfs", store=hdfs.address("", "root"))
        root.mkdir(f"fsspec-{name}")
        store = hdfs.address(f"fsspec-{name}", "root")
    yield fsspec.filesystem("bootseer-hdfs", store=store, settings=SETTINGS)
    BootseerFileSystem.clear_instance_cache()
    gc.collect()


def test_files_are_opened_in_every_mode(fs: BootseerFileSystem) -> None:
    with fs.open("d/file", "wb") as file:
        file.write(DATA)
    assert fs.info("d/file")["striped"]
    with fs.open("d/file", "ab") as file:
        file.write(b"more")
    with fs.open("d/file", "r+b") as file:
        file.seek(10)
        file.write(b"changed")
    expected = DATA[:10] + b"changed" + DATA[17:] + b"more"
    with fs.open("d/file", "rb") as file:
        assert file.read() == expected
        file.seek(-4, 2)
        assert file.read() == b"more"
    with fs.open("text", "w", encoding="utf-8") as text:
        text.write("ä\n")
    with fs.open("text", "r", encoding="utf-8") as text:
        assert text.read() == "ä\n"
    with pytest.raises(FileExistsError):
        fs.open("text", "xb")
    with pytest.raises(FileNotFoundError):
        fs.open("none")
    with pytest.raises(IsADirectoryError):
        fs.open("d")


def test_ranges_of_several_files_are_read_at_once(fs: BootseerFileSystem) -> None:
    fs.pipe({"a": DATA, "b": DATA[::-1]})
    assert fs.cat_ranges(["a", "b", "a"], [0, 70_000, -5], [10, 200_000, None]) == [
        DATA[:10],
        DATA[::-1][70_000:200_000],
        DATA[-5:],
    ]
    (error,) = fs.cat_ranges(["none"], [0], [1])
    assert isinstance(error, FileNotFoundError)
    assert fs.cat(["a", "b"]) == {"a": DATA, "b": DATA[::-1]}
    assert fs.cat_file("a", start=5, end=-5) == DATA[5:-5]


def test_trees_are_put_walked_moved_got_and_removed(fs: BootseerFileSystem, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "large").write_bytes(DATA)
    (source / "sub/small").write_bytes(b"small")
    fs.put(str(source), "tree", recursive=True)
    assert sorted(fs.find("tree")) == ["tree/large", "tree/sub/small"]
    assert [(top, sorted(dirs), sorted(files)) for top, dirs, files in fs.walk("tree")] == [
        ("tree", ["sub"], ["large"]),
        ("tree/sub", [], ["small"]),
    ]
    assert fs.glob("tree/**/sm*") == ["tree/sub/small"]
    (large,) = [one for one in fs.ls("tree", detail=True) if one["name"] == "tree/large"]
    assert (large["size"], large["type"]) == (len(DATA), "file")
    assert fs.du("tree") == len(DATA) + 5
    fs.mv("tree", "moved")
    fs.copy("moved/large", "moved/copy")
    fs.get("moved", str(tmp_path / "back"), recursive=True)
    assert (tmp_path / "back/large").read_bytes() == DATA
    assert (tmp_path / "back/copy").read_bytes() == DATA
    fs.mv("moved/sub/small", "moved/large")
    assert fs.cat("moved/large") == b"small"
    fs.rm("moved", recursive=True)
    assert fs.ls("", detail=False) == []
    assert not fs.exists("moved")


def test_nothing_is_left_of_what_was_removed(tmp_path: Path) -> None:
    fs = BootseerFileSystem(f"file://{tmp_path}", SETTINGS)
    for name in ("a", "b", "c"):
        fs.pipe(name, DATA)
    fs.mv("a", "b")
    fs.pipe("b", b"short")
    fs.rm("c")
    assert [path for path in tmp_path.rglob("*/segments/*/*/*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("address", "store", "path"),
    [
        ("bootseer-hdfs://nn:9870/v//a/b", "webhdfs://nn:9870/v", "a/b"),
        ("bootseer-hdfs://me@nn:9870//a", "webhdfs://me@nn:9870", "a"),
        ("bootseer-hdfs://cluster/v//", "hdfs://cluster/v", ""),
        ("bootseer-hdfs://a/b", None, "a/b"),
        ("bootseer-hdfs:///a/b", None, "a/b"),
    ],
)
def test_an_address_has_store_and_path(address: str, store: str | None, path: str) -> None:
    assert BootseerFileSystem._get_kwargs_from_urls(address).get("store") == store
    assert BootseerFileSystem._strip_protocol(address) == path


def test_a_whole_address_is_opened_by_libraries(hdfs: Hdfs) -> None:
    address = hdfs.address("", "root").replace("webhdfs://", "bootseer-hdfs://").rstrip("/")
    array = np.arange(200_000)
    with fsspec.open(f"{address}//by-address/array.npy", "wb") as file:
        np.save(file, array)
    with fsspec.open(f"{address}//by-address/array.npy", "rb") as file:
        assert np.array_equal(np.load(file), array)
    fs, path = fsspec.url_to_fs(f"{address}//by-address")
    fs.rm(path, recursive=True)
    BootseerFileSystem.clear_instance_cache()
    gc.collect()


def test_a_transaction_is_refused(tmp_path: Path) -> None:
    fs = BootseerFileSystem(f"file://{tmp_path}", SETTINGS)
    with fs.transaction, pytest.raises(ValueError, match="transactions"):
        fs.open("file", "wb")


def test_a_file_has_no_descriptor_and_works_as_files_without_do(fs: BootseerFileSystem) -> None:
    array = np.arange(100_000)
    with fs.open("array", "wb") as file:
        assert not hasattr(file, "fileno")
        np.savez(file, array=array)
    with fs.open("array", "rb") as file:
        assert np.array_equal(np.load(file)["array"], array)
        file.seek(0)
        assert file.readable()
        assert (file.read1(2), file.tell()) == (b"PK", 2)
        into = bytearray(3)
        assert file.readinto(into) == 3
    assert file.closed
