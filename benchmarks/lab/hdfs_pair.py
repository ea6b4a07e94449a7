"""An HDFS with two NameNodes, of which none is active until one is told to be; on loopback.

They share the directory of their edits, so there are neither JournalNodes nor fencing.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.hadoop_java import java_with
from benchmarks.lab.hadoop_servers import (
    SERVER,
    TOOLS,
    Server,
    free_port,
    run_once,
    write_site,
)
from benchmarks.lab.jmx import name_node_bean
from bootseer.errors import HostError
from tooling import hadoop

SERVICE: Final = "pair"
"""The nameservice."""
_NAMES: Final = ("nn0", "nn1")
_START_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class HdfsPair:
    """Where the cluster's configuration is, and its NameNodes."""

    configuration: Path
    """What `HADOOP_CONF_DIR` is to be."""
    java: Sequence[str]
    name_nodes: tuple[Server, Server]
    http: tuple[str, str]
    """`host:port` of each."""

    def activate(self, number: int) -> None:
        """Make a NameNode the active one. The other must be on standby, or dead."""
        # Without --forceactive it asks the other NameNode first, which may be dead.
        action = ["-transitionToActive", "--forceactive", "--forcemanual", _NAMES[number]]
        self._admin(action)
        deadline = time.monotonic() + _START_S
        while not self._has_all(number):
            if time.monotonic() > deadline:
                raise HostError(f"{_NAMES[number]} does not hear of its blocks")
            time.sleep(0.1)

    def stand_by(self, number: int) -> None:
        """Put a NameNode on standby."""
        self._admin(["-transitionToStandby", "--forcemanual", _NAMES[number]])

    def wait_until_listening(self, number: int) -> None:
        """Wait for a NameNode's HTTP server. HostError if it does not come up."""
        deadline = time.monotonic() + _START_S
        while not name_node_bean(self.http[number], "FSNamesystemState"):
            dead = self.name_nodes[number].process.poll() is not None
            if dead or time.monotonic() > deadline:
                raise HostError(f"{_NAMES[number]} does not start: see {self.configuration}/*.log")
            time.sleep(0.1)

    def _admin(self, action: Sequence[str]) -> None:
        tool = [*self.java, f"{TOOLS}.DFSHAAdmin", "-ns", SERVICE, *action]
        run_once(["sh", "-c", 'yes | "$@"', "sh", *tool], self.configuration / "admin.log")

    def _has_all(self, number: int) -> bool:
        """Say whether DataNodes have reported as many blocks as there are: one that has only just
        joined is there before its blocks, and a block nobody has spoken of is not missing yet.
        """
        known = name_node_bean(self.http[number], "FSNamesystem")
        total, missing = known.get("BlocksTotal"), known.get("MissingBlocks")
        return missing == 0 and total is not None and self._reported(number) >= total

    def _reported(self, number: int) -> int:
        nodes = json.loads(name_node_bean(self.http[number], "NameNodeInfo").get("LiveNodes", "{}"))
        return sum(int(node["numBlocks"]) for node in nodes.values()) if nodes else -1


@contextlib.contextmanager
def running_pair(root: Path) -> Iterator[HdfsPair]:
    """Run two NameNodes and a DataNode that keep their things under `root`; the first is active.

    HostError if they do not start. Who runs them is the superuser.
    """
    jars = hadoop.ensure()
    root.mkdir(parents=True)
    rpc = [f"127.0.0.1:{free_port()}" for _ in _NAMES]
    http = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    write_site(root / "core-site.xml", {"fs.defaultFS": f"hdfs://{SERVICE}"})
    write_site(root / "hdfs-site.xml", _properties(root, rpc, http))
    java = java_with(jars, root)
    servers = []
    for name in _NAMES:
        # Each has its own directory below a name that the other does not use.
        mine = ["-D", f"dfs.ha.namenode.id={name}", "-D", f"dfs.namenode.name.dir={root}/{name}"]
        argv = [*java, f"{SERVER}.namenode.NameNode", *mine]
        if name == _NAMES[0]:
            run_once([*argv, "-format", "-force", "-nonInteractive"], root / "format.log")
        servers.append(Server(argv, root / f"{name}.log"))
    shutil.copytree(root / _NAMES[0], root / _NAMES[1])
    data_node = Server([*java, f"{SERVER}.datanode.DataNode"], root / "datanode.log")
    first, second = servers
    with contextlib.ExitStack() as stack:
        for server in (first, second, data_node):
            stack.callback(server.kill)
            server.start()
        pair = HdfsPair(root, java, (first, second), http)
        for number in range(len(_NAMES)):
            pair.wait_until_listening(number)
        pair.activate(0)
        yield pair


def _properties(root: Path, rpc: Sequence[str], http: Sequence[str]) -> dict[str, str]:
    provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
    of_each = {
        f"dfs.namenode.{what}-address.{SERVICE}.{name}": address
        for what, addresses in (("rpc", rpc), ("http", http))
        for name, address in zip(_NAMES, addresses, strict=True)
    }
    return {
        "dfs.nameservices": SERVICE,
        f"dfs.ha.namenodes.{SERVICE}": ",".join(_NAMES),
        **of_each,
        f"dfs.client.failover.proxy.provider.{SERVICE}": provider,
        "dfs.namenode.shared.edits.dir": f"file://{root}/edits",
        "dfs.ha.fencing.methods": "shell(/bin/true)",
        "dfs.ha.tail-edits.period": "1",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.datanode.data.dir": f"file://{root}/data",
        "dfs.datanode.address": f"127.0.0.1:{free_port()}",
        "dfs.datanode.ipc.address": f"127.0.0.1:{free_port()}",
        "dfs.datanode.http.address": f"127.0.0.1:{free_port()}",
        "dfs.replication": "1",
        "dfs.heartbeat.interval": "1",
        "dfs.namenode.safemode.extension": "0",
        "dfs.namenode.edits.noeditlogchannelflush": "true",
    }
