"""A second name for the plugin, as docs/clients.md gives nerdctl one."""

from pathlib import Path

from tooling.machine import platform

ALIAS = "nydus"


def alias(directory: Path) -> str:
    """Return containerd's configuration of the second name, on a node in `directory`."""
    return f"""
[proxy_plugins.{ALIAS}]
  type = "snapshot"
  address = "{directory}/b/s.sock"
  capabilities = ["remap-ids"]
  [proxy_plugins.{ALIAS}.exports]
    root = "{directory}/b/r"
    enable_remote_snapshot_annotations = "true"
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
  platform = "{platform()}"
  snapshotter = "{ALIAS}"
"""
