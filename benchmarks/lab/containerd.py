"""A containerd of the lab's own in the node namespace: own root, state, socket, no CRI.

Its containers run in a containerd namespace with a name of this lab, and so in a cgroup of that
name: whatever happens to shims, the containers are found again.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.lab.cleanup import in_cgroup, kill_all, unmount_below
from benchmarks.lab.containerd_1x import config_1x
from benchmarks.lab.generations import programs_of
from benchmarks.lab.netns import Ends
from benchmarks.lab.service import Service, service
from bootseer.errors import HostError
from tooling import containerd as programs
from tooling.machine import platform

_CRI: Final = (
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    "io.containerd.grpc.v1.cri",
    "io.containerd.podsandbox.controller.v1.podsandbox",
)
_BOOTED: Final = b"containerd successfully booted"
"""In its log."""
_DISABLED: Final = (
    "io.containerd.internal.v1.tracing",
    "io.containerd.nri.v1.nri",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
)


@dataclass(frozen=True, slots=True)
class ProxySnapshotter:
    """A snapshotter outside of containerd: its name, its socket, where it keeps its files."""

    name: str
    socket: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Containerd:
    """A running containerd."""

    socket: Path
    namespace: str
    running: Service
    certs: Path
    prefix: Sequence[str]
    bin: Path = field(repr=False)

    def ctr_command(self, *arguments: str) -> list[str]:
        """Return the command line of `ctr` talking to this containerd."""
        ctr = [str(self.bin / "ctr"), "--address", str(self.socket), "-n", self.namespace]
        return [*self.prefix, *ctr, *arguments]

    def ctr(self, *arguments: str, seconds: float = 600.0) -> str:
        """Run `ctr`, return its standard output. Raises `HostError` with what it said."""
        try:
            result = subprocess.run(
                self.ctr_command(*arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise HostError(f"ctr {' '.join(arguments)} took over {seconds:.0f} s") from error
        if result.returncode != 0:
            said = " | ".join((result.stderr or result.stdout).strip().splitlines()[-4:])
            raise HostError(f"ctr {' '.join(arguments)} failed: {said}", hint=self.running.tail())
        return result.stdout

    def pull(self, reference: str, *, snapshotter: str = "overlayfs") -> None:
        """Pull an image from a registry of the lab and unpack it. Raises `HostError`."""
        hosts = ["--hosts-dir", str(self.certs), "--snapshotter", snapshotter]
        self.ctr("images", "pull", *hosts, reference)

    def run_command(
        self, reference: str, container: str, *command: str, snapshotter: str = "overlayfs"
    ) -> list[str]:
        """Return the command that runs a container to its end and removes it afterwards.

        Without `command` the image's own is run. Its output is the container's.
        """
        options = ["--rm", "--snapshotter", snapshotter]
        return self.ctr_command("run", *options, reference, container, *command)


def containerd_config(
    root: Path,
    state: Path,
    socket: Path,
    certs: Path,
    proxy: ProxySnapshotter | None = None,
    sandbox_image: str | None = None,
) -> str:
    """Return containerd's configuration, version 3 (2.0 and newer), as TOML.

    With a `sandbox_image` the CRI is on, on the same socket, with `proxy` as its snapshotter.
    """
    snapshotters = ["overlayfs", *([proxy.name] if proxy else [])]
    disabled = _DISABLED if sandbox_image else (*_CRI, *_DISABLED)
    lines = [
        "version = 3",
        f'root = "{root}"',
        f'state = "{state}"',
        "disabled_plugins = [" + ", ".join(f'"{name}"' for name in disabled) + "]",
        "[grpc]",
        f'  address = "{socket}"',
        "[ttrpc]",
        f'  address = "{socket}.ttrpc"',
        "[plugins.'io.containerd.transfer.v1.local']",
        f'  config_path = "{certs}"',
    ]
    for snapshotter in snapshotters:
        lines += [
            "  [[plugins.'io.containerd.transfer.v1.local'.unpack_config]]",
            f'    platform = "{platform()}"',
            f'    snapshotter = "{snapshotter}"',
        ]
    if sandbox_image:
        lines += _cri(state, certs, proxy, sandbox_image)
    return "\n".join([*lines, *(_proxy_plugin(proxy) if proxy else ())]) + "\n"


def _cri(state: Path, certs: Path, proxy: ProxySnapshotter | None, sandbox_image: str) -> list[str]:
    return [
        "[plugins.'io.containerd.cri.v1.images']",
        f'  snapshotter = "{proxy.name if proxy else "overlayfs"}"',
        "  disable_snapshot_annotations = false",
        "  [plugins.'io.containerd.cri.v1.images'.pinned_images]",
        f'    sandbox = "{sandbox_image}"',
        "  [plugins.'io.containerd.cri.v1.images'.registry]",
        f'    config_path = "{certs}"',
        "[plugins.'io.containerd.cri.v1.runtime']",
        "  restrict_oom_score_adj = true",
        "  [plugins.'io.containerd.cri.v1.runtime'.cni]",
        f'    conf_dir = "{state / "cni"}"',
        f'    bin_dirs = ["{state / "cni-bin"}"]',
        "[plugins.'io.containerd.grpc.v1.cri']",
        "  disable_tcp_service = true",
        '  stream_server_address = "127.0.0.1"',
        '  stream_server_port = "0"',
    ]


def _proxy_plugin(proxy: ProxySnapshotter) -> list[str]:
    return [
        f"[proxy_plugins.{proxy.name}]",
        '  type = "snapshot"',
        f'  address = "{proxy.socket}"',
        '  capabilities = ["remap-ids"]',
        f"  [proxy_plugins.{proxy.name}.exports]",
        f'    root = "{proxy.root}"',
        '    enable_remote_snapshot_annotations = "true"',
    ]


def hosts_toml(host: str, mirror: str = "") -> str:
    """Return the hosts file (containerd's registry host configuration) for plain HTTP.

    A `mirror` (host and port) is asked first.
    """
    url = f"http://{host}"
    first = f'[host."http://{mirror}"]\n  capabilities = ["pull"]\n' if mirror else ""
    return f'server = "{url}"\n{first}[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def write_hosts(certs: Path, host: str, mirror: str = "") -> None:
    """Say below the directory `certs` that the registry `host` speaks plain HTTP, and which mirror
    is asked before it.
    """
    directory = certs / host
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "hosts.toml").write_text(hosts_toml(host, mirror))


@contextlib.contextmanager
def containerd(
    network: Ends,
    root: Path,
    *,
    registry_host: str | None = None,
    proxy: ProxySnapshotter | None = None,
    sandbox_image: str | None = None,
    generation: str = "",
    more: str = "",
) -> Iterator[Containerd]:
    """Run a containerd during the block, all its files below `root` (keep it short: sockets).

    `generation`: an older one (see `generations`). `more`: lines behind its configuration.
    Afterwards its containers are killed and everything below `root` is unmounted; removing `root`
    is the caller's. Raises `HostError`.
    """
    directory = programs_of(generation) if generation else programs.find()
    if directory is None:
        raise HostError("no containerd 2.x found", hint="scripts/setup --for demo builds it")
    certs = root / "certs.d"
    certs.mkdir(parents=True, exist_ok=True)
    if registry_host:
        write_hosts(certs, registry_host)
    socket, config = root / "c.sock", root / "config.toml"
    if generation:
        plugin = (proxy.name, proxy.socket, proxy.root) if proxy else None
        text = config_1x(root, socket, certs, plugin, sandbox_image)
    else:
        text = containerd_config(root / "root", root / "state", socket, certs, proxy, sandbox_image)
    config.write_text(text + more)
    argv = network.in_node([str(directory / "containerd"), "--config", str(config)])
    path = {"PATH": f"{directory}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"}
    name = f"{network.name}-{root.name}"
    try:
        with service("containerd", argv, root / "containerd.log", env=path) as running:
            made = Containerd(socket, name, running, certs, network.in_node(), directory)
            running.wait_until(lambda: _answers(made))
            try:
                yield made
            finally:
                _remove_containers(made)
    finally:
        kill_all(lambda: [*in_cgroup(name), *_shims(socket)])
        unmount_below(root)


def _answers(made: Containerd) -> bool:
    if _BOOTED not in made.running.log.read_bytes():  # asking sooner takes what it needs to start
        return False
    command = made.ctr_command("version")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _remove_containers(made: Containerd) -> None:
    """Let containerd end its containers itself, as far as it can."""
    with contextlib.suppress(HostError):
        for container in made.ctr("containers", "list", "--quiet", seconds=10).split():
            with contextlib.suppress(HostError):
                made.ctr("tasks", "kill", "--signal", "KILL", container, seconds=5)
            with contextlib.suppress(HostError):
                made.ctr("tasks", "delete", "--force", container, seconds=10)


def _shims(socket: Path) -> Iterator[int]:
    """Yield the shims that belong to the containerd at `socket` (it is among their arguments)."""
    for directory in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if directory.name.isdecimal() and str(socket).encode() in (
                directory / "cmdline"
            ).read_bytes().split(b"\0"):
                yield int(directory.name)
