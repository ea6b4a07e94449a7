"""Packs, one behind the other, as one blob."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.blobs.directory import DirectoryBlobs
from bootseer.errors import CorruptError, NotFoundError
from snapshotter.dependencies.packs import NearPacks, PackedBlob
from snapshotter.ports import Early

PACKS = {"packs/a": b"0123456", "packs/b": b"7", "packs/c": b"89abcdef"}
WHOLE = b"".join(PACKS.values())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    for name, content in PACKS.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    return root


@given(start=st.integers(0, 15), size=st.integers(1, 16), front=st.integers(0, 20))
async def test_any_range_is_read_and_its_front_is_told_of_before_the_rest_comes(
    directory: Path, start: int, size: int, front: int
) -> None:
    blob = PackedBlob(DirectoryBlobs(directory), list(PACKS), [0, 7, 8, 16])
    size = min(size, len(WHOLE) - start)
    told: list[bytes] = []
    wanted = WHOLE[start : start + size]
    assert await blob.read("", start, size, Early(front, told.append)) == wanted
    assert told == ([wanted[:front]] if 0 < front < size else [])
    assert await blob.read("", start, size) == wanted
    near = NearPacks([DirectoryBlobs(directory)], list(PACKS), [0, 7, 8, 16])
    assert near.read_now(start, size) == wanted


def test_what_one_directory_does_not_have_is_read_from_the_next(
    directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs/b").write_bytes(PACKS["packs/b"])
    stores = [DirectoryBlobs(tmp_path, 3.0), DirectoryBlobs(directory, 4.0)]
    near = NearPacks(stores, list(PACKS), [0, 7, 8, 16])
    assert near.read_now(0, 16) == WHOLE
    assert near.patience == 7.0
    with pytest.raises(NotFoundError, match="packs/a does not exist"):
        NearPacks(stores[:1], list(PACKS), [0, 7, 8, 16]).read_now(0, 16)
    (tmp_path / "packs/b").write_bytes(b"")
    assert near.read_now(0, 16) == WHOLE, "one that was cut off is had from the next as well"
    with pytest.raises(CorruptError, match="ends before byte 1"):
        NearPacks(stores[:1], list(PACKS), [0, 7, 8, 16]).read_now(7, 1)


async def test_the_rest_of_the_blob_is_streamed(directory: Path) -> None:
    blob = PackedBlob(DirectoryBlobs(directory), list(PACKS), [0, 7, 8, 16])
    assert b"".join([piece async for piece in blob.stream("", 5)]) == WHOLE[5:]
    assert b"".join([piece async for piece in blob.stream("", 5, 6)]) == WHOLE[5:11]
