"""For every test: an end, interrupts, Hypothesis on busy machines, what is first; one HDFS for all.

The fixtures with an HDFS are here and nowhere else: one that a module imports is a fixture of its
own to pytest, which would start a cluster for each module.
"""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from benchmarks.lab.hdfs import Hdfs, running_hdfs
from benchmarks.lab.hdfs_network import hdfs_network
from tests.hdfs_lab import HdfsLab

pytest_plugins = ["tests.stuck"]

# A shell that runs us in the background has us ignore it, and everything that we start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline would be an assertion about time, which says more of the machine than of the code.
settings.register_profile("here", deadline=None)
# On the integration machine a failure must be the change's, not a new random example's.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put files with long tests first where they run side by side: short ones fill up the end."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("containers")}
        items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    """A cluster on loopback with one DataNode: every test uses a directory of its own."""
    with running_hdfs(tmp_path_factory.mktemp("hdfs") / "cluster", listed=5) as running:
        yield running


@pytest.fixture(scope="session")
def hdfs_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsLab]:
    """A cluster with four DataNodes in namespaces of their own: needs root.

    Every test uses a directory of its own, and leaves all DataNodes running.
    """
    place = tmp_path_factory.mktemp("hdfs-lab") / "cluster"
    with hdfs_network(4) as net, running_hdfs(place, net.hub, net.data_nodes) as running:
        yield HdfsLab(running, net)
