"""A real HDFS: one NameNode and some DataNodes, each a JVM, on loopback or in namespaces.

`python -m benchmarks.lab.hdfs HOST NODES` waits until a cluster can be used (it is started where
that can be reached from).
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.lab.hdfs_network import LOOPBACK, Machine
from bootseer.errors import HostError
from tooling import hadoop

_START_S: Final = 120.0
_JAVA: Final = [
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx192m",
    "-Djava.net.preferIPv4Stack=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
]
_SERVER: Final = "org.apache.hadoop.hdfs.server"


@dataclass(frozen=True, slots=True)
class Hdfs:
    """Where it listens, and its processes."""

    host: str
    """`host:port` of the NameNode, for HTTP."""
    data_nodes: "list[subprocess.Popen[bytes]]"
    data: list[Path]
    """Where each DataNode keeps its blocks."""

    @property
    def data_node(self) -> "subprocess.Popen[bytes]":
        """The first DataNode."""
        return self.data_nodes[0]

    def address(self, path: str, user: str = "tester") -> str:
        """Return the address of a directory."""
        return f"webhdfs://{user}@{self.host}/{path}"


@contextlib.contextmanager
def running_hdfs(
    root: Path, hub: Machine = LOOPBACK, data_nodes: Sequence[Machine] = (LOOPBACK,)
) -> Iterator[Hdfs]:
    """Run a cluster that keeps its things under `root`. HostError if it does not start.

    The NameNode runs on `hub`. Everybody may write to the root directory.
    """
    jars = hadoop.ensure()
    root.mkdir(parents=True)
    rpc, http = _free_port(), _free_port()
    _write(root / "core-site.xml", {"fs.defaultFS": f"hdfs://{hub.address}:{rpc}"})
    _write(
        root / "hdfs-site.xml",
        {
            "dfs.namenode.name.dir": f"file://{root}/name",
            "dfs.namenode.http-address": f"{hub.address}:{http}",
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
        name_node = [*hub.enter, *java, f"{_SERVER}.namenode.NameNode"]
        servers = [stack.enter_context(_running(name_node, root / "namenode.log"))]
        places = [root / f"data{number}" for number in range(len(data_nodes))]
        for number, (machine, place) in enumerate(zip(data_nodes, places, strict=True)):
            options = _data_node_options(machine, place)
            argv = [*machine.enter, *java, f"{_SERVER}.datanode.DataNode", *options]
            servers.append(stack.enter_context(_running(argv, root / f"datanode{number}.log")))
        host = f"{hub.address}:{http}"
        _wait_for(hub, host, servers, root)
        yield Hdfs(host, servers[1:], places)


def _data_node_options(machine: Machine, place: Path) -> list[str]:
    properties = {
        "dfs.datanode.data.dir": f"file://{place}",
        "dfs.datanode.hostname": machine.address,
        "dfs.datanode.address": f"{machine.address}:{_free_port()}",
        "dfs.datanode.ipc.address": f"{machine.address}:{_free_port()}",
        "dfs.datanode.http.address": f"{machine.address}:{_free_port()}",
    }
    return [word for pair in properties.items() for word in ("-D", "=".join(pair))]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def _wait_for(
    hub: Machine, host: str, servers: "list[subprocess.Popen[bytes]]", root: Path
) -> None:
    """Wait from where the NameNode is; HostError with the logs' ends if that takes too long."""
    argv = [*hub.enter, sys.executable, "-m", "benchmarks.lab.hdfs", host, str(len(servers) - 1)]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as waiting:
        deadline = time.monotonic() + _START_S
        while waiting.poll() is None:
            dead = any(server.poll() is not None for server in servers)
            if dead or time.monotonic() > deadline:
                waiting.kill()
            time.sleep(0.05)
    if waiting.returncode:
        logs = "\n".join(path.read_text()[-2000:] for path in sorted(root.glob("*.log")))
        raise HostError(f"HDFS does not start:\n{logs}")


def wait_until_usable(host: str, data_nodes: int) -> None:
    """Wait for all DataNodes to be there, and make the root writable for everybody."""
    beans = f"http://{host}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    opened = f"http://{host}/webhdfs/v1/?op=SETPERMISSION&permission=777&user.name=root"
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError, LookupError):
            with urllib.request.urlopen(beans, timeout=5) as answer:
                live = json.load(answer)["beans"][0]["NumLiveDataNodes"]
            if live == data_nodes:
                request = urllib.request.Request(opened, method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                return
        time.sleep(0.2)


if __name__ == "__main__":
    wait_until_usable(sys.argv[1], int(sys.argv[2]))
