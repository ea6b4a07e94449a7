"""The configuration of containerd 1.6 and 1.7 for the lab (version 2 of the format)."""

from pathlib import Path
from typing import Final

_CRI: Final = "io.containerd.grpc.v1.cri"
_DISABLED: Final = (
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.nri.v1.nri",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
)


def config_1x(
    root: Path,
    socket: Path,
    certs: Path,
    proxy: tuple[str, Path, Path] | None,
    sandbox_image: str | None,
) -> str:
    """Return the configuration as TOML.

    `proxy`: a snapshotter's name, socket and root. With a `sandbox_image` the CRI is on.
    """
    disabled = _DISABLED if sandbox_image else (_CRI, *_DISABLED)
    lines = [
        "version = 2",
        f'root = "{root / "root"}"',
        f'state = "{root / "state"}"',
        "disabled_plugins = [" + ", ".join(f'"{name}"' for name in disabled) + "]",
        "[grpc]",
        f'  address = "{socket}"',
        "[ttrpc]",
        f'  address = "{socket}.ttrpc"',
    ]
    if sandbox_image:
        lines += [
            f'[plugins."{_CRI}"]',
            f'  sandbox_image = "{sandbox_image}"',
            "  disable_tcp_service = true",
            '  stream_server_address = "127.0.0.1"',
            '  stream_server_port = "0"',
            "  restrict_oom_score_adj = true",
            f'  [plugins."{_CRI}".containerd]',
            f'    snapshotter = "{proxy[0] if proxy else "overlayfs"}"',
            "    disable_snapshot_annotations = false",
            f'  [plugins."{_CRI}".registry]',
            f'    config_path = "{certs}"',
            f'  [plugins."{_CRI}".cni]',
            f'    conf_dir = "{root / "state/cni"}"',
        ]
    if proxy:
        name, address, place = proxy
        lines += [
            f"[proxy_plugins.{name}]",
            '  type = "snapshot"',
            f'  address = "{address}"',
            f"  [proxy_plugins.{name}.exports]",
            f'    root = "{place}"',
        ]
    return "\n".join(lines) + "\n"
