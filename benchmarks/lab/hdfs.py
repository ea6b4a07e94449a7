"""A real HDFS: one NameNode and some DataNodes, each a JVM, on loopback or in namespaces.

`python -m benchmarks.lab.hdfs HOST NODES` waits until a cluster can be used (it is started where
that can be reached from); `... HOST ADDRESS` until a DataNode answers that was started again.
"""

import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.hadoop_java import java_with
from benchmarks.lab.hadoop_servers import (
    SERVER,
    Server,
    free_port,
    run_once,
    write_site,
)
from benchmarks.lab.hdfs_network import LOOPBACK, Machine
from benchmarks.lab.jmx import live_data_nodes
from bootseer.errors import HostError
from tooling import hadoop

_START_S: Final = 120.0
_SECRET: Final = "not one"
"""Of the servers' keys, which are as good as public."""
_CLOSING: Final = {
    "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
    "dfs.client.block.write.locateFollowingBlock.retries": "12",
}
"""A DataNode that closes a file for us waits 400 ms if the NameNode has not heard of its last block
yet, as a rule; with these, 10 ms and then twice that each time. See docs/striping.md."""

_THREADS: Final = "-Dio.netty.eventLoopThreads=32"
"""Of a DataNode's HTTP server, as on a machine with 16 cores. A file that waits for a DataNode that
hangs holds one of them; with two cores' four, most of what comes later would wait as well."""


@dataclass(frozen=True, slots=True)
class Hdfs:
    """Where it listens, and its processes."""

    host: str
    """`host:port` of the NameNode, for HTTP."""
    hub: Machine
    """Where the NameNode runs."""
    name_node: Server
    servers: list[Server]
    """The DataNodes."""
    addresses: list[str]
    """`host:port` of each DataNode, for HTTP."""
    data: list[Path]
    """Where each DataNode keeps its blocks."""
    configuration: Path
    """What `HADOOP_CONF_DIR` may be."""
    https: str = ""
    """`host:port` of the NameNode, for HTTP over TLS; empty if that is not spoken."""

    @property
    def data_node(self) -> "subprocess.Popen[bytes]":
        """The first DataNode."""
        return self.servers[0].process

    def address(self, path: str, user: str = "tester") -> str:
        """Return the address of a directory."""
        return f"webhdfs://{user}@{self.host}/{path}"

    def start_name_node(self) -> None:
        """Start the NameNode again, and wait until it can be used."""
        self.name_node.start()
        self._wait(str(len(self.servers)))

    def start_data_node(self, number: int) -> None:
        """Start a DataNode again, and wait until it answers."""
        self.servers[number].start()
        self._wait(self.addresses[number])

    def _wait(self, what: str) -> None:
        argv = [*self.hub.enter, sys.executable, "-m", "benchmarks.lab.hdfs", self.host, what]
        subprocess.run(argv, cwd=Path(__file__).parents[2], check=True, timeout=_START_S)


@contextlib.contextmanager
def running_hdfs(
    root: Path,
    hub: Machine = LOOPBACK,
    data_nodes: Sequence[Machine] = (LOOPBACK,),
    listed: int = 1000,
    *,
    stock: bool = False,
    tls: bool = False,
) -> Iterator[Hdfs]:
    """Run a cluster that keeps its things under `root`. HostError if it does not start.

    The NameNode runs on `hub`, and lists so many names at a time. Everybody may write to the root
    directory. A DataNode that is gone counts as dead after 12 seconds, and gets no new files
    after 3. `stock`: files are closed as Hadoop is shipped, not as we advise. `tls`: HTTP over TLS
    is spoken as well, with the certificate `certificate_of`.
    """
    jars = hadoop.ensure()
    root.mkdir(parents=True)
    rpc, http, https = free_port(), free_port(), f"{hub.address}:{free_port()}"
    write_site(root / "core-site.xml", {"fs.defaultFS": f"hdfs://{hub.address}:{rpc}"})
    write_site(
        root / "hdfs-site.xml",
        {
            "dfs.namenode.name.dir": f"file://{root}/name",
            "dfs.namenode.http-address": f"{hub.address}:{http}",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.replication": "1",
            "dfs.ls.limit": str(listed),
            "dfs.heartbeat.interval": "1",
            "dfs.namenode.heartbeat.recheck-interval": "1000",
            "dfs.namenode.stale.datanode.interval": "3000",
            "dfs.namenode.avoid.read.stale.datanode": "true",
            "dfs.namenode.avoid.write.stale.datanode": "true",
            "dfs.namenode.safemode.extension": "0",
            "dfs.namenode.edits.noeditlogchannelflush": "true",
            **({} if stock else _CLOSING),
            **(_with_tls(root, https) if tls else {}),
        },
    )
    java = java_with(jars, root)
    java_of_nodes = java_with(jars, root, [_THREADS])
    format_ = [*java, f"{SERVER}.namenode.NameNode", "-format", "-force", "-nonInteractive"]
    run_once(format_, root / "format.log")
    name_node = Server([*hub.enter, *java, f"{SERVER}.namenode.NameNode"], root / "namenode.log")
    servers, addresses, places = [], [], []
    for number, machine in enumerate(data_nodes):
        place, address = root / f"data{number}", f"{machine.address}:{free_port()}"
        options = _data_node_options(machine, place, address, tls=tls)
        argv = [*machine.enter, *java_of_nodes, f"{SERVER}.datanode.DataNode", *options]
        servers.append(Server(argv, root / f"datanode{number}.log"))
        addresses.append(address)
        places.append(place)
    with contextlib.ExitStack() as stack:
        for server in (name_node, *servers):
            stack.callback(server.kill)
            server.start()
        host = f"{hub.address}:{http}"
        _wait_for(hub, host, [one.process for one in (name_node, *servers)], root)
        yield Hdfs(host, hub, name_node, servers, addresses, places, root, https if tls else "")


def certificate_of(root: Path) -> Path:
    """Return what all servers of a cluster below `root` prove themselves by (PEM)."""
    return root / "servers.pem"


def _with_tls(root: Path, https: str) -> dict[str, str]:
    """Make the servers' certificate; return what a NameNode that listens at `https` is told."""
    store = root / "servers.p12"
    key = ["keytool", "-genkeypair", "-alias", "servers", "-keyalg", "RSA", "-validity", "30"]
    names = ["-dname", "CN=servers", "-ext", f"SAN=IP:{https.partition(':')[0]}"]
    secret = ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", _SECRET]
    run_once([*key, *names, "-ext", "BC:critical=ca:true", *secret], root / "keytool.log")
    shown = ["keytool", "-exportcert", "-rfc", "-alias", "servers", *secret]
    run_once([*shown, "-file", str(certificate_of(root))], root / "keytool.log")
    write_site(
        root / "ssl-server.xml",
        {
            "ssl.server.keystore.location": str(store),
            "ssl.server.keystore.type": "PKCS12",
            "ssl.server.keystore.password": _SECRET,
            "ssl.server.keystore.keypassword": _SECRET,
        },
    )
    return {
        "dfs.http.policy": "HTTP_AND_HTTPS",
        "dfs.namenode.https-address": https,
    }


def _data_node_options(machine: Machine, place: Path, address: str, *, tls: bool) -> list[str]:
    properties = {
        "dfs.datanode.data.dir": f"file://{place}",
        "dfs.datanode.hostname": machine.address,
        "dfs.datanode.address": f"{machine.address}:{free_port()}",
        "dfs.datanode.ipc.address": f"{machine.address}:{free_port()}",
        "dfs.datanode.http.address": address,
        **({"dfs.datanode.https.address": f"{machine.address}:{free_port()}"} if tls else {}),
    }
    return [word for pair in properties.items() for word in ("-D", "=".join(pair))]


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
    opened = f"http://{host}/webhdfs/v1/?op=SETPERMISSION&permission=777&user.name=root"
    while True:
        if live_data_nodes(host) == data_nodes:
            with contextlib.suppress(OSError, urllib.error.URLError):
                request = urllib.request.Request(opened, method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                return
        time.sleep(0.2)


def wait_until_answering(address: str) -> None:
    """Wait for a DataNode's HTTP server."""
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"http://{address}/jmx?qry=none", timeout=5).close()
            return
        time.sleep(0.2)


if __name__ == "__main__":
    if ":" in sys.argv[2]:
        wait_until_answering(sys.argv[2])
    else:
        wait_until_usable(sys.argv[1], int(sys.argv[2]))
