"""A real HDFS for tests, on loopback ports."""

from collections.abc import Iterator

import pytest

from benchmarks.lab.hdfs import Hdfs as RunningHdfs
from benchmarks.lab.hdfs import running_hdfs

__all__ = ["RunningHdfs", "hdfs"]


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHdfs]:
    """A cluster for the whole session: every test uses a directory of its own."""
    with running_hdfs(tmp_path_factory.mktemp("hdfs") / "cluster") as running:
        yield running
