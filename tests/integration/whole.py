"""The whole thing on one machine: a registry, Bootseer's daemon, a containerd with its CRI."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from containerd_fixture import HostNetwork

from benchmarks.lab.access_log import Request, blob_bytes, parse
from benchmarks.lab.cleanup import mounts_below
from benchmarks.lab.containerd import Containerd, ProxySnapshotter, containerd
from benchmarks.lab.registry import registry_config
from benchmarks.lab.service import Service, service
from bootseer.cli.control import fetch
from bootseer.errors import HostError

PLUGIN = "bootseer"


@dataclass
class LocalRegistry:
    """Debian's docker-registry on a loopback port."""

    host: str
    storage: Path
    running: Service

    def requests(self) -> list[Request]:
        return list(parse(self.running.log.read_text(errors="replace").splitlines()))

    def bytes_of(self, digest: str) -> int:
        """Return how many bytes of a blob were sent so far."""
        return blob_bytes(self.requests())[digest]

    def blob_file(self, digest: str) -> Path:
        """Return where the registry keeps a blob: for tests that damage it."""
        found = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / found[:2] / found / "data"


CACHE: Final = {"check_after": 0.1, "unused_free": 0, "least_free": 0}


@dataclass
class Bootseer:
    """The daemon: keeper and server."""

    root: Path
    address: Path
    config: Path
    keeper: Service

    def log(self) -> str:
        return self.keeper.log.read_text(errors="replace")

    def server_pid(self) -> int:
        """Return the process that serves now."""
        return int(re.findall(r"keeper.server_started pid=(\d+)", self.log())[-1])

    def kill_server(self) -> None:
        """Kill the server as the kernel's OOM killer would, and wait for the next one."""
        before = self.log().count("daemon.serving")
        Path(f"/proc/{self.server_pid()}").stat()
        subprocess.run(["kill", "-9", str(self.server_pid())], check=True)
        wait_for(lambda: self.log().count("daemon.serving") > before, "the next server")

    @property
    def control(self) -> Path:
        """Its control socket."""
        return self.config.parent / "run/control.sock"

    def status(self) -> dict[str, Any]:
        """Return what `bootseer status --json` prints, without starting it: tests ask often."""
        return fetch(self.control, "/v1/status")

    def mounts(self) -> list[str]:
        """Return what is mounted below the root, each place once."""
        info = Path("/proc/self/mountinfo").read_text()
        below = mounts_below(info, self.root.resolve())
        return list(dict.fromkeys(str(mount.path) for mount in below))


@dataclass
class Whole:
    """All three."""

    directory: Path
    registry: LocalRegistry
    daemon: Bootseer
    containerd: Containerd

    def pull(self, reference: str) -> None:
        """Pull as `ctr` does, lazily."""
        self.containerd.pull(reference, snapshotter=PLUGIN)

    def run(self, reference: str, *command: str, name: str = "") -> str:
        """Run a container to its end and return its output. HostError if it fails."""
        name = name or f"c{time.monotonic_ns()}"
        argv = ["run", "--rm", "--snapshotter", PLUGIN, reference, name, *command]
        return self.containerd.ctr(*argv, seconds=120)

    def start(self, reference: str, *command: str, feed: bool = False) -> "subprocess.Popen[str]":
        """Run a container in the background; its output (and with `feed` its input) is a pipe."""
        argv = ["run", "--rm", "--snapshotter", PLUGIN, reference, f"c{time.monotonic_ns()}"]
        return subprocess.Popen(
            self.containerd.ctr_command(*argv, *command),
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill_server(self) -> None:
        """Kill the daemon's server; wait until containerd has found the next one.

        containerd's client gives up at once while it pauses between two tries to connect.
        """
        self.daemon.kill_server()
        self.wait_connected()

    def wait_connected(self) -> None:
        """Wait until containerd reaches the daemon.

        It does not ask the daemon for the snapshots of a namespace that has none.
        """

        def answers() -> bool:
            try:
                namespaces = self.containerd.ctr("namespaces", "ls", "-q", seconds=20).split()
                for name in namespaces:
                    listed = ["snapshots", "--snapshotter", PLUGIN, "ls"]
                    replace(self.containerd, namespace=name).ctr(*listed, seconds=20)
            except HostError:
                return False
            return True

        wait_for(answers, "containerd to reach the snapshotter")

    def remove(self, reference: str) -> None:
        """Remove an image and wait for containerd's garbage collection."""
        self.containerd.ctr("images", "rm", "--sync", reference)


def bootseer(*arguments: str) -> str:
    """Run the `bootseer` command and return its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "bootseer", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"bootseer {arguments}: {done.returncode}: {done.stderr}"
    return done.stdout


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return when the condition holds; fail naming `what` if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def local_registry(directory: Path) -> Iterator[LocalRegistry]:
    """Run a registry on a free loopback port during the block."""
    directory.mkdir(parents=True)
    host = f"127.0.0.1:{free_port()}"
    config = directory / "registry.yml"
    config.write_text(json.dumps(registry_config(directory / "storage", host)))
    argv = ["docker-registry", "serve", str(config)]
    env = {"OTEL_TRACES_EXPORTER": "none"}
    with service("docker-registry", argv, directory / "log", env=env) as running:
        running.wait_until(lambda: "listening on" in running.log.read_text(errors="replace"))
        yield LocalRegistry(host, directory / "storage", running)


@contextmanager
def bootseer_daemon(
    directory: Path, settings: str = "", cache: Mapping[str, object] | None = None
) -> Iterator[Bootseer]:
    """Run Bootseer's daemon with its files below `directory` during the block.

    `cache`: settings of the cache; without them it is not bound by what this machine's disk has.
    """
    directory.mkdir(parents=True, exist_ok=True)
    root, address = directory / "r", directory / "s.sock"
    config = directory / "bootseer.yaml"
    config.write_text(
        f"root: {root}\nrun_dir: {directory / 'run'}\naddress: {address}\n"
        f"containerd: {directory.parent / 'c' / 'c.sock'}\n"
        f"cache: {json.dumps(CACHE | dict(cache or {}))}\n"
        f"registry:\n  config_path: {directory / 'certs.d'}\n{settings}"
    )
    argv = [sys.executable, "-m", "bootseer", "snapshotter", "serve", "--config", str(config)]
    started = (directory / "log").read_text() if (directory / "log").exists() else ""
    with service("bootseer", argv, directory / "log") as keeper:
        keeper.wait_until(
            lambda: (
                keeper.log.read_text(errors="replace").count("daemon.serving")
                > started.count("daemon.serving")
            )
        )
        yield Bootseer(root, address, config, keeper)


@contextmanager
def whole(
    directory: Path,
    settings: str = "",
    *,
    sandbox: str = "",
    generation: str = "",
    more: str = "",
    cache: Mapping[str, object] | None = None,
) -> Iterator[Whole]:
    """Run all three below `directory` (short: sockets) during the block.

    `sandbox`: a repository in the registry with the pod sandbox' image; turns the CRI on.
    `generation`, `more`: an older containerd, and lines behind its configuration.
    `cache`: settings of the cache.
    """
    with (
        local_registry(directory / "reg") as registry,
        node_of(
            registry,
            directory,
            settings,
            sandbox=sandbox,
            generation=generation,
            more=more,
            cache=cache,
        ) as made,
    ):
        yield made


@contextmanager
def node_of(
    registry: LocalRegistry,
    directory: Path,
    settings: str = "",
    *,
    sandbox: str = "",
    generation: str = "",
    more: str = "",
    cache: Mapping[str, object] | None = None,
) -> Iterator[Whole]:
    """Run a node of a registry, one of several: the daemon and containerd, below `directory`."""
    with ExitStack() as stack:
        daemon = stack.enter_context(bootseer_daemon(directory / "b", settings, cache))
        proxy = ProxySnapshotter(PLUGIN, daemon.address, daemon.root)
        (directory / "c").mkdir()
        engine = stack.enter_context(
            containerd(
                HostNetwork(),
                directory / "c",
                registry_host=registry.host,
                proxy=proxy,
                sandbox_image=f"{registry.host}/{sandbox}" if sandbox else None,
                generation=generation,
                more=more,
            )
        )
        yield Whole(directory, registry, daemon, engine)
