"""Files in a local directory."""

from pathlib import Path

import pytest
from store_conformance import *  # noqa: F403  (every test there)

from fuse_hdfs.stores.directory import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)
