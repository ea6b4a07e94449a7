"""An HDFS that wants Kerberos, with its KDC: one NameNode, one DataNode, on loopback.

`python -m benchmarks.lab.hdfs_secure` waits until the cluster of the environment can be used.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
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
from benchmarks.lab.kdc import REALM, Kdc, running_kdc
from bootseer.errors import HostError, RemoteError
from fuse_hdfs.stores.places import open_store
from tooling import hadoop

SUPERUSER: Final = "nn"
"""Who the NameNode is."""
_START_S: Final = 120.0
_HOST: Final = "localhost"


@dataclass(frozen=True, slots=True)
class SecureHdfs:
    """Where the cluster's configuration is, and how to become somebody there."""

    configuration: Path
    """What `HADOOP_CONF_DIR` is to be."""
    kdc: Kdc
    superuser_keytab: Path
    http: str
    """`host:port` of the NameNode."""
    rpc: str

    def environment(self, cache: Path) -> dict[str, str]:
        """Return what a client has in its environment; `cache`: of its tickets."""
        return {"HADOOP_CONF_DIR": str(self.configuration), **self.kdc.environment(cache)}


@contextlib.contextmanager
def running_secure_hdfs(root: Path, token_s: int = 86_400) -> Iterator[SecureHdfs]:
    """Run a cluster that keeps its things under `root`; its tokens are good for `token_s` seconds.

    They can be renewed once. HostError if it does not start.
    """
    jars = hadoop.ensure()
    with contextlib.ExitStack() as stack:
        kdc = stack.enter_context(running_kdc(root / "kdc"))
        keytab = kdc.keytab(*(f"{service}/{_HOST}" for service in (SUPERUSER, "dn", "HTTP")))
        http, rpc = f"{_HOST}:{free_port()}", f"{_HOST}:{free_port()}"
        write_site(root / "core-site.xml", _core(rpc, keytab))
        write_site(root / "hdfs-site.xml", _properties(root, http, keytab, token_s))
        java = java_with(jars, root, [f"-Djava.security.krb5.conf={kdc.configuration}"])
        name_node = [*java, f"{SERVER}.namenode.NameNode"]
        run_once([*name_node, "-format", "-force", "-nonInteractive"], root / "format.log")
        servers = [
            Server(name_node, root / "namenode.log"),
            Server([*java, f"{SERVER}.datanode.DataNode"], root / "datanode.log"),
        ]
        for server in servers:
            stack.callback(server.kill)
            server.start()
        secure = SecureHdfs(root, kdc, keytab, http, rpc)
        _wait_for(secure, servers)
        yield secure


def _core(rpc: str, keytab: Path) -> dict[str, str]:
    return {
        "fs.defaultFS": f"hdfs://{rpc}",
        "hadoop.security.authentication": "kerberos",
        "hadoop.security.authorization": "true",
        "hadoop.http.filter.initializers": "org.apache.hadoop.hdfs.web.AuthFilterInitializer",
        "hadoop.http.authentication.type": "kerberos",
        "hadoop.http.authentication.kerberos.principal": f"HTTP/{_HOST}@{REALM}",
        "hadoop.http.authentication.kerberos.keytab": str(keytab),
        "hadoop.http.authentication.signature.secret.file": str(keytab),
    }


def _properties(root: Path, http: str, keytab: Path, token_s: int) -> dict[str, str]:
    return {
        "dfs.namenode.name.dir": f"file://{root}/name",
        "dfs.namenode.http-address": http,
        "dfs.namenode.kerberos.principal": f"{SUPERUSER}/{_HOST}@{REALM}",
        "dfs.namenode.keytab.file": str(keytab),
        "dfs.namenode.delegation.key.update-interval": "86400000",
        "dfs.namenode.delegation.token.renew-interval": str(token_s * 1000),
        "dfs.namenode.delegation.token.max-lifetime": str(2 * token_s * 1000),
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.datanode.kerberos.principal": f"dn/{_HOST}@{REALM}",
        "dfs.datanode.keytab.file": str(keytab),
        "dfs.datanode.hostname": _HOST,
        "dfs.datanode.data.dir": f"file://{root}/data",
        "dfs.datanode.address": f"127.0.0.1:{free_port()}",
        "dfs.datanode.ipc.address": f"127.0.0.1:{free_port()}",
        "dfs.datanode.http.address": f"127.0.0.1:{free_port()}",
        "dfs.web.authentication.kerberos.principal": f"HTTP/{_HOST}@{REALM}",
        "dfs.web.authentication.kerberos.keytab": str(keytab),
        "dfs.block.access.token.enable": "true",
        "ignore.secure.ports.for.testing": "true",
        "dfs.replication": "1",
        "dfs.ls.limit": "5",
        "dfs.heartbeat.interval": "1",
        "dfs.namenode.safemode.extension": "0",
        "dfs.namenode.edits.noeditlogchannelflush": "true",
    }


def _wait_for(secure: SecureHdfs, servers: list[Server]) -> None:
    """Wait until a file can be put somewhere; everybody may write to the root directory then."""
    cache = secure.configuration / "superuser.tickets"
    secure.kdc.ticket(f"{SUPERUSER}/{_HOST}", secure.superuser_keytab, cache)
    argv = [sys.executable, "-m", "benchmarks.lab.hdfs_secure"]
    environment = os.environ | secure.environment(cache)
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2], env=environment) as waiting:
        deadline = time.monotonic() + _START_S
        while waiting.poll() is None:
            dead = any(server.process.poll() is not None for server in servers)
            if dead or time.monotonic() > deadline:
                waiting.kill()
            time.sleep(0.05)
    if waiting.returncode:
        logs = (path.read_text()[-3000:] for path in sorted(secure.configuration.glob("*.log")))
        raise HostError("HDFS does not start:\n{}".format("\n".join(logs)))


async def wait_until_usable() -> None:
    """Wait for the cluster of the environment as its superuser, and open its root directory."""
    while True:
        with contextlib.suppress(RemoteError, OSError):
            async with open_store("hdfs:///", 10.0) as store:
                if await store.places():
                    await store.set_mode("", 0o777)
                    return
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(wait_until_usable())
