"""A real HDFS on loopback ports: one NameNode and some DataNodes, each a JVM."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tests.registry_fixture import free_port
from tooling import hadoop

_JAVA = [
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx192m",
    "-Djava.net.preferIPv4Stack=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
]
_SERVER = "org.apache.hadoop.hdfs.server"


@dataclass(slots=True)
class RunningHdfs:
    """Where it listens, and its processes."""

    host: str
    """`127.0.0.1:<port>` of the NameNode, for HTTP."""
    data_nodes: "list[subprocess.Popen[bytes]]"

    @property
    def data_node(self) -> "subprocess.Popen[bytes]":
        """The first DataNode."""
        return self.data_nodes[0]

    def address(self, path: str, user: str = "tester") -> str:
        """Return the address of a directory."""
        return f"webhdfs://{user}@{self.host}/{path}"


@contextlib.contextmanager
def running_hdfs(root: Path, data_nodes: int = 1) -> Iterator[RunningHdfs]:
    """Run a cluster that keeps its things under `root`."""
    jars = hadoop.ensure()
    root.mkdir(parents=True)
    rpc, http = free_port(), free_port()
    _write(root / "core-site.xml", {"fs.defaultFS": f"hdfs://127.0.0.1:{rpc}"})
    _write(
        root / "hdfs-site.xml",
        {
            "dfs.namenode.name.dir": f"file://{root}/name",
            "dfs.namenode.http-address": f"127.0.0.1:{http}",
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.replication": "1",
            "dfs.ls.limit": "5",
            "dfs.heartbeat.interval": "1",
            "dfs.namenode.safemode.extension": "0",
            "dfs.namenode.edits.noeditlogchannelflush": "true",
        },
    )
    java = [*_JAVA, "-cp", f"{jars}/*:{root}"]
    format_ = [*java, f"{_SERVER}.namenode.NameNode", "-format", "-force", "-nonInteractive"]
    with (root / "format.log").open("wb") as log:
        subprocess.run(format_, stdout=log, stderr=log, check=True)
    with contextlib.ExitStack() as stack:
        name_node = [*java, f"{_SERVER}.namenode.NameNode"]
        servers = [stack.enter_context(_running(name_node, root / "namenode.log"))]
        for number in range(data_nodes):
            argv = [*java, f"{_SERVER}.datanode.DataNode", *_data_node_options(root, number)]
            servers.append(stack.enter_context(_running(argv, root / f"datanode{number}.log")))
        host = f"127.0.0.1:{http}"
        _wait_until_usable(servers, host, root)
        yield RunningHdfs(host, servers[1:])


def _data_node_options(root: Path, number: int) -> list[str]:
    properties = {
        "dfs.datanode.data.dir": f"file://{root}/data{number}",
        "dfs.datanode.address": f"127.0.0.1:{free_port()}",
        "dfs.datanode.ipc.address": f"127.0.0.1:{free_port()}",
        "dfs.datanode.http.address": f"127.0.0.1:{free_port()}",
    }
    return [word for pair in properties.items() for word in ("-D", "=".join(pair))]


def _write(path: Path, properties: dict[str, str]) -> None:
    rows = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>\n"
        for name, value in properties.items()
    )
    path.write_text(f"<configuration>\n{rows}</configuration>\n")


@contextlib.contextmanager
def _running(argv: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=20)


def _wait_until_usable(processes: list["subprocess.Popen[bytes]"], host: str, root: Path) -> None:
    """Wait for all DataNodes to be there, and make the root writable for everybody."""
    beans = f"http://{host}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    opened = f"http://{host}/webhdfs/v1/?op=SETPERMISSION&permission=777&user.name=root"
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError, LookupError):
            with urllib.request.urlopen(beans, timeout=5) as answer:
                live = json.load(answer)["beans"][0]["NumLiveDataNodes"]
            if live == len(processes) - 1:
                urllib.request.urlopen(
                    urllib.request.Request(opened, method="PUT"), timeout=5
                ).close()
                return
        logs = "\n".join(path.read_text()[-2000:] for path in root.glob("*.log"))
        assert all(process.poll() is None for process in processes), logs
        assert time.monotonic() < deadline, f"HDFS does not start\n{logs}"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHdfs]:
    """A cluster for the whole session: every test uses a directory of its own."""
    with running_hdfs(tmp_path_factory.mktemp("hdfs") / "cluster") as running:
        yield running
