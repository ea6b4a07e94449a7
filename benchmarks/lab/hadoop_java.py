"""Hadoop's JVMs: how they are started, with its classes as another JVM has read them already.

A server reads and checks some 8,000 classes out of 117 jars before it listens, which is most of its
start. Here that is done once: a NameNode and a DataNode say which classes they need, and the JVM
writes those into an archive (class data sharing) that all later ones map. A JVM that the archive is
not right for, a newer one say, goes without.
"""

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.lab.hadoop_servers import (
    SERVER,
    TOOLS,
    Server,
    free_port,
    run_once,
    write_site,
)
from benchmarks.lab.jmx import live_data_nodes
from bootseer.errors import HostError
from tooling.locking import only_one
from tooling.progress import doing

_JAVA: Final = (
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx192m",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
)
_START_S: Final = 120.0
_ADDRESS: Final = "127.0.0.1"


def java_with(jars: Path, configuration: Path, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a class of Hadoop with the configuration of a directory, where
    it keeps its temporary files as well: who is killed leaves them.

    HostError if the archive of its classes is not there yet and cannot be made.
    """
    jars = jars.resolve()  # an archive is for jars at one place
    shared = f"-XX:SharedArchiveFile={_archive(jars)}"
    temporary = f"-Djava.io.tmpdir={configuration}"
    return [*_JAVA, shared, temporary, *options, "-cp", f"{jars}/*:{configuration}"]


def _archive(jars: Path) -> Path:
    """Return the archive of the classes in these jars, made where it is not there."""
    program = Path(shutil.which(_JAVA[0]) or _JAVA[0]).resolve()
    made_when = program.stat().st_mtime_ns if program.exists() else 0
    name = hashlib.sha256(f"{program} {made_when}".encode()).hexdigest()[:12]
    place = jars.with_name(f"{jars.name}-classes-{name}.jsa")
    with only_one(place.with_suffix(".lock")):
        if not place.exists():
            with doing("archiving Hadoop's classes (once)"):
                _make(jars, place)
    return place


def _make(jars: Path, place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hadoop-classes-") as directory:
        root = Path(directory)
        wanted = root / "all.list"
        wanted.write_text("\n".join(_needed(jars, root)) + "\n")
        made = place.with_suffix(".new")
        dump = ["-Xshare:dump", f"-XX:SharedClassListFile={wanted}"]
        # Later JVMs have a directory behind these jars, which would not be taken here.
        argv = [*_JAVA, *dump, f"-XX:SharedArchiveFile={made}", "-cp", f"{jars}/*"]
        run_once(argv, root / "dump.log")
        made.rename(place)


def _needed(jars: Path, root: Path) -> list[str]:
    """Return the names of the classes that a small cluster loads, each once."""
    host = f"{_ADDRESS}:{free_port()}"
    write_site(root / "core-site.xml", {"fs.defaultFS": f"hdfs://{_ADDRESS}:{free_port()}"})
    write_site(
        root / "hdfs-site.xml",
        {
            "dfs.namenode.name.dir": f"file://{root}/name",
            "dfs.namenode.http-address": host,
            "dfs.datanode.data.dir": f"file://{root}/data",
            "dfs.datanode.address": f"{_ADDRESS}:{free_port()}",
            "dfs.datanode.ipc.address": f"{_ADDRESS}:{free_port()}",
            "dfs.datanode.http.address": f"{_ADDRESS}:{free_port()}",
        },
    )

    def listing(name: str) -> list[str]:
        own = f"-XX:DumpLoadedClassList={root}/{name}.list"
        return [*_JAVA, own, "-cp", f"{jars}/*:{root}"]

    format_ = [f"{SERVER}.namenode.NameNode", "-format", "-force", "-nonInteractive"]
    run_once([*listing("format"), *format_], root / "format.log")
    run_once([*listing("admin"), f"{TOOLS}.DFSHAAdmin", "-help"], root / "admin.log")
    name_node = Server([*listing("name"), f"{SERVER}.namenode.NameNode"], root / "name.log")
    data_node = Server([*listing("data"), f"{SERVER}.datanode.DataNode"], root / "data.log")
    with contextlib.ExitStack() as stack:
        for server in (name_node, data_node):
            stack.callback(server.kill)
            server.start()
        _wait_for_both(host)
        for server in (data_node, name_node):
            server.stop()
    lists = (root / f"{name}.list" for name in ("format", "name", "data", "admin"))
    return list(dict.fromkeys(line for one in lists for line in one.read_text().splitlines()))


def _wait_for_both(host: str) -> None:
    """Wait until the NameNode has heard of the DataNode. HostError if that takes too long."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if live_data_nodes(host):
            return
        time.sleep(0.1)
    raise HostError("a small HDFS does not start", hint="is there a Java that Hadoop can use?")
