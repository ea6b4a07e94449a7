"""For every test: interrupts, Hypothesis on busy machines, what stays together, one HDFS for all.

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

# A shell that runs us in the background has us ignore it, and everything that we start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline would be an assertion about time, which says more of the machine than of the code.
settings.register_profile("here", deadline=None)
# On the integration machine a failure must be the change's, not a new random example's.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


SHARED = ("hdfs_lab", "hdfs")
"""Fixtures that are dear to start, each a group of tests that run in one process."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep together, where tests run side by side, those that share what is dear to start.

    The long groups come first: what is short fills up the processes in the end.
    """
    groups = {item: _group(item) for item in items}
    long = {groups[item] for item in items if item.get_closest_marker("containers")}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (groups[item] not in SHARED, groups[item] not in long))


def _group(item: pytest.Item) -> str:
    """Return the fixture that a test shares with others, and else its file."""
    fixtures = {*getattr(item, "fixturenames", ()), *_ids(item)}
    return next((name for name in SHARED if name in fixtures), item.location[0])


def _ids(item: pytest.Item) -> list[str]:
    """Return the parameters' names: some are fixtures, to be asked for by name."""
    return item.callspec.id.split("-") if hasattr(item, "callspec") else []


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
