"""`scripts/hdfs-dev`: a cluster that stays until it is told to go, for trying things by hand.

`up` leaves a process behind that owns cluster and namespaces; what the other commands need to know
is in a file beside its log. A DataNode that is started anew is a child of nobody; it goes with its
namespace.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import click

from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.hdfs import Hdfs, running_hdfs
from benchmarks.lab.hdfs_network import HdfsNetwork, hdfs_network
from benchmarks.lab.netns import run_tool
from bootseer.errors import BootseerError, HostError, UsageError
from tooling import hadoop
from tooling.places import cache_dir
from tooling.progress import doing, say

_DIRECTORY: Final = cache_dir() / "hdfs-dev"
_STATE: Final = _DIRECTORY / "state.json"
_LOG: Final = _DIRECTORY / "log"
_CLUSTER: Final = _DIRECTORY / "cluster"
_START_S: Final = 180.0
_STOP_S: Final = 60.0
_SHELL: Final = "org.apache.hadoop.fs.FsShell"


@dataclass(frozen=True, slots=True)
class DataNode:
    """One DataNode of the running cluster."""

    pid: int
    argv: tuple[str, ...]
    """What starts it."""
    address: str
    link: tuple[str, ...]
    """`ip` command that ends where `up` or `down` is missing: the link of its machine."""


@dataclass(frozen=True, slots=True)
class State:
    """The running cluster."""

    owner: int
    """Process that `down` tells to stop."""
    address: str
    """Of the store."""
    enter: tuple[str, ...]
    """What comes before a command so that it reaches the cluster."""
    data_nodes: tuple[DataNode, ...]


def state_of(hdfs: Hdfs, net: HdfsNetwork) -> State:
    """Return what a cluster in namespaces is."""
    hub = Path(net.hub.enter[1].removeprefix("--net=")).name
    nodes = tuple(
        DataNode(
            server.process.pid,
            tuple(cast("list[str]", server.process.args)),
            machine.address,
            ("ip", "-n", hub, "link", "set", f"data{number}"),
        )
        for number, (server, machine) in enumerate(zip(hdfs.servers, net.data_nodes, strict=True))
    )
    return State(os.getpid(), hdfs.address("", "root"), net.hub.enter, nodes)


def parse_state(text: str) -> State:
    """Return what `up` wrote."""
    found: dict[str, Any] = json.loads(text)
    nodes = tuple(
        DataNode(one["pid"], tuple(one["argv"]), one["address"], tuple(one["link"]))
        for one in found["data_nodes"]
    )
    return State(found["owner"], found["address"], tuple(found["enter"]), nodes)


def _running() -> State | None:
    """Return the running cluster; None if there is none."""
    try:
        state = parse_state(_STATE.read_text())
    except (OSError, ValueError, KeyError):
        return None
    return state if _alive(state.owner) else None


def _needed() -> State:
    state = _running()
    if state is None:
        raise UsageError("no cluster is running", hint="scripts/hdfs-dev up")
    return state


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _save(state: State) -> None:
    new = _STATE.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=1))
    new.replace(_STATE)


def own(nodes: int, rate: float | None) -> None:
    """Run a cluster until SIGTERM."""
    with undo_stack() as stack:
        net = stack.enter_context(hdfs_network(nodes, rate))
        cluster = running_hdfs(_CLUSTER, net.hub, net.data_nodes)
        _save(state_of(stack.enter_context(cluster), net))
        stack.callback(_STATE.unlink, missing_ok=True)
        while True:
            signal.pause()


@click.group()
def cli() -> None:
    """Run an HDFS for a developer; one at a time."""


@cli.command(hidden=True)
@click.argument("nodes", type=int)
@click.argument("rate", type=float)
def serve(nodes: int, rate: float) -> None:
    """Be the process that `up` leaves behind."""
    own(nodes, rate or None)


@cli.command()
@click.option("--nodes", default=8, show_default=True, help="DataNodes.")
@click.option("--rate", default=0.0, help="Mbit/s of each DataNode's link; 0: no limit.")
def up(nodes: int, rate: float) -> None:
    """Start a cluster, empty, and leave it running."""
    if (state := _running()) is not None:
        raise UsageError(f"{state.address} is running", hint="scripts/hdfs-dev down")
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    _DIRECTORY.mkdir(parents=True)
    argv = [sys.executable, "-m", "benchmarks.lab.hdfs_dev", "serve", str(nodes), str(rate)]
    with doing(f"HDFS with {nodes} DataNodes"), _LOG.open("wb") as log:
        owner = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + _START_S
        while _running() is None:
            if owner.poll() is not None or time.monotonic() > deadline:
                owner.terminate()
                raise HostError(f"it does not start:\n{_LOG.read_text()[-2000:]}")
            time.sleep(0.1)
    _show(_needed())


@cli.command()
def down() -> None:
    """Stop the cluster and remove everything that it kept."""
    state = _running()
    if state is not None:
        os.kill(state.owner, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while _alive(state.owner):
            if time.monotonic() > deadline:
                raise HostError(f"process {state.owner} does not stop", hint=f"see {_LOG}")
            time.sleep(0.05)
    shutil.rmtree(_DIRECTORY, ignore_errors=True)


@cli.command()
def status() -> None:
    """Show where the cluster is, and each DataNode."""
    _show(_needed())


def _show(state: State) -> None:
    click.echo(f"store    {state.address}")
    click.echo(f"logs     {_CLUSTER}")
    click.echo("clients  scripts/hdfs-dev run COMMAND...")
    for number, node in enumerate(state.data_nodes):
        click.echo(f"{number:>2}  {node.address:<13} {_condition(node)}")


def _condition(node: DataNode) -> str:
    show = [*node.link[:3], "-o", "link", "show", node.link[-1]]
    words = ["running"]
    if not _alive(node.pid):
        words = ["killed"]
    elif "T" in Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()[0]:
        words = ["stopped"]
    flags = run_tool(show).partition("<")[2].partition(">")[0].split(",")
    return ", ".join(words if "UP" in flags else [*words, "cut off"])


def _node(number: int) -> DataNode:
    nodes = _needed().data_nodes
    if not 0 <= number < len(nodes):
        raise UsageError(f"there is no DataNode {number}: they are 0 to {len(nodes) - 1}")
    return nodes[number]


@cli.command("kill-datanode")
@click.argument("number", type=int)
def kill_datanode(number: int) -> None:
    """Kill a DataNode: its connections are reset."""
    _signal(_node(number), signal.SIGKILL)


@cli.command("stop-datanode")
@click.argument("number", type=int)
def stop_datanode(number: int) -> None:
    """Stop a DataNode (SIGSTOP): its connections hang."""
    _signal(_node(number), signal.SIGSTOP)


def _signal(node: DataNode, number: signal.Signals) -> None:
    if not _alive(node.pid):
        raise UsageError("that DataNode is not running")
    os.kill(node.pid, number)


@cli.command("cut-datanode")
@click.argument("number", type=int)
def cut_datanode(number: int) -> None:
    """Take a DataNode's link down: nothing arrives, nobody is told."""
    run_tool([*_node(number).link, "down"])


@cli.command("mend-datanode")
@click.argument("number", type=int)
def mend_datanode(number: int) -> None:
    """Undo all of these."""
    node, state = _node(number), _needed()
    run_tool([*node.link, "up"])
    if _alive(node.pid):
        os.kill(node.pid, signal.SIGCONT)
        return
    with (_CLUSTER / f"datanode{number}.log").open("ab") as log:
        process = subprocess.Popen(
            node.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    nodes = list(state.data_nodes)
    nodes[number] = DataNode(process.pid, node.argv, node.address, node.link)
    _save(State(state.owner, state.address, state.enter, tuple(nodes)))


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Run a command where the cluster can be reached; files and mounts are the machine's."""
    enter = _needed().enter
    os.execvp(enter[0], [*enter, *command])


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dfs(arguments: tuple[str, ...]) -> None:
    """Do what Hadoop's own `hdfs dfs` does."""
    enter = _needed().enter
    java = ["java", "-cp", f"{hadoop.ensure()}/*:{_CLUSTER}", _SHELL]
    os.execvp(enter[0], [*enter, *java, *arguments])


def main() -> None:
    """Run the command line."""
    try:
        cli()
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
