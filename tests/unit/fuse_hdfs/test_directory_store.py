"""Files in a local directory."""

import errno
from pathlib import Path

import pytest
from store_conformance import *  # noqa: F403  (every test there)
from store_conformance import number_of, put

from fuse_hdfs.stores.directory import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


async def test_files_cannot_be_joined(store: DirectoryStore) -> None:
    for name in ("a", "b"):
        await put(store, name)
    assert await number_of(store.concat("a", ["b"])) == errno.ENOTSUP
    assert await store.read("b", 0, 10) == b"data"
