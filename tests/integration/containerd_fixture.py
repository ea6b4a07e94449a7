"""A containerd of a test's own, with or without a proxy snapshotter; and images to feed it.

The laboratory's containerd (`benchmarks.lab.containerd`) needs a network namespace; most tests
don't, so here is also one in the host's network, where it listens on nothing but its socket.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout
from benchmarks.lab.containerd import Containerd, ProxySnapshotter, containerd
from benchmarks.lab.labname import fresh_name
from benchmarks.lab.netns import Network

PLUGIN = "bootseer"


class HostNetwork(Network):
    """No namespaces at all."""

    def __init__(self) -> None:
        super().__init__(fresh_name())

    def in_registry(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command as it is."""
        return list(argv)

    def in_node(self, argv: Sequence[str] = ()) -> list[str]:
        """Return the command as it is."""
        return list(argv)


@contextmanager
def private_containerd(root: Path, snapshotter: Path | None = None) -> Iterator[Containerd]:
    """Run a containerd with its files below `root` (a short path) during the block.

    `snapshotter` is the socket of a proxy snapshotter, which containerd then calls `PLUGIN`.
    Afterwards containers and shims are killed and mounts below `root` are undone.
    """
    proxy = ProxySnapshotter(PLUGIN, snapshotter, root) if snapshotter else None
    with containerd(HostNetwork(), root, proxy=proxy) as engine:
        yield engine


def tiny_trees(directory: Path) -> list[Path]:
    """Make the trees of a two-layer image: busybox, and a greeting on top of it."""
    lower, upper = directory / "lower", directory / "upper"
    (lower / "bin").mkdir(parents=True)
    (upper / "etc").mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copyfile(busybox, lower / "bin/busybox")
    (lower / "bin/busybox").chmod(0o755)
    for name in ("cat", "echo", "sh", "sleep", "touch"):
        (lower / "bin" / name).symlink_to("busybox")
    (upper / "etc/greeting").write_text("hello\n")
    return [lower, upper]


def tiny_layout(directory: Path, trees: Sequence[Path], *, name: str = "tiny:latest") -> Path:
    """Make an OCI image layout with one layer a tree, and return its directory."""
    layout = OciLayout(directory)
    for tree in trees:
        layout.add_layer(tree.name, LayerTar(tree).write)
    config = {"Cmd": ["/bin/cat", "/etc/greeting"], "Env": ["PATH=/bin"]}
    layout.finish(name=name, architecture="amd64", config=config, created="2026-01-01T00:00:00Z")
    return layout.root


def archive(layout: Path) -> Path:
    """Pack an OCI image layout for `ctr images import`."""
    path = layout.with_suffix(".tar")
    subprocess.run(["tar", "-C", layout, "-cf", path, "."], check=True)
    return path


def collect_garbage(engine: Containerd) -> None:
    """Let containerd collect its garbage now. It removes snapshots behind the scenes otherwise."""
    lease = engine.ctr("leases", "create").strip()
    engine.ctr("leases", "delete", "--sync", lease)
