"""What the fixture `hdfs_lab` gives (see `conftest.py`)."""

from dataclasses import dataclass

from benchmarks.lab.hdfs import Hdfs
from benchmarks.lab.hdfs_network import HdfsNetwork


@dataclass(frozen=True, slots=True)
class HdfsLab:
    """An HDFS whose DataNodes are machines of their own, and their network."""

    hdfs: Hdfs
    net: HdfsNetwork
