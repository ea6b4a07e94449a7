"""Where distributions of Kubernetes keep containerd's things on a node. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths and services of one kind of node, absolute as the node sees them."""

    name: str
    main: str
    """containerd's configuration."""
    drop_in: str
    """The file of ours that it imports."""
    template: str | None
    """What `main` is made of whenever containerd starts; None: `main` itself may be edited."""
    socket: str
    certs: str
    """The directory of hosts.toml files."""
    services: tuple[str, ...]
    """Those that start containerd; a node has one of them."""
    program: str | None
    """Where containerd is, if not on PATH."""

    @property
    def imports(self) -> str:
        """What the configuration has to import."""
        return f"{self.drop_in.rpartition('/')[0]}/*.toml"

    @property
    def edited(self) -> str:
        """The file that gets the import where there is none."""
        return self.template or self.main


def plain(major: int) -> Layout:
    """Return that of a node as kubeadm, kind and packages of distributions make it."""
    del major  # the same for all
    return Layout(
        "plain",
        "/etc/containerd/config.toml",
        "/etc/containerd/conf.d/bootseer.toml",
        None,
        "/run/containerd/containerd.sock",
        "/etc/containerd/certs.d",
        ("containerd.service",),
        None,
    )


def k3s(major: int) -> Layout:
    """Return that of k3s, which writes containerd's configuration anew at each start."""
    return _rancher("k3s", major, ("k3s.service", "k3s-agent.service"))


def rke2(major: int) -> Layout:
    """Return that of RKE2, which is k3s' with another name."""
    return _rancher("rke2", major, ("rke2-server.service", "rke2-agent.service"))


def _rancher(name: str, major: int, services: tuple[str, ...]) -> Layout:
    home = f"/var/lib/rancher/{name}"
    etc = f"{home}/agent/etc/containerd"
    version = "config-v3.toml" if major >= 2 else "config.toml"
    return Layout(
        name,
        f"{etc}/config.toml",
        f"{etc}/{version}.d/bootseer.toml",
        f"{etc}/{version}.tmpl",
        "/run/k3s/containerd/containerd.sock",
        f"{etc}/certs.d",
        services,
        f"{home}/data/current/bin/containerd" if name == "k3s" else f"{home}/bin/containerd",
    )


LAYOUTS: Final[dict[str, Callable[[int], Layout]]] = {"plain": plain, "k3s": k3s, "rke2": rke2}


def found(exists: Callable[[str], bool]) -> str:
    """Return the name of the layout of a node; `exists` looks for paths of it."""
    for name in ("k3s", "rke2"):
        if exists(f"/var/lib/rancher/{name}/agent/etc/containerd"):
            return name
    return "plain"
