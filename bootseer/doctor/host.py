"""Checks of this host's rights, directories and daemons."""

import os
import shutil
import socket
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from bootseer.doctor.findings import Finding, State
from bootseer.errors import BootseerError, HostError
from snapshotter.erofs.mount import supports_file_backed
from snapshotter.watching.events import EVENT
from snapshotter.watching.tracefs import Tracefs

_CONTAINERD_CONFIG: Final = Path("/etc/containerd/config.toml")
_FREE_BYTES: Final = 10 << 30
_PLUGIN_HELP: Final = "see config/containerd/, or run scripts/bootstrap-node"


def check_root() -> Finding:
    """Mounting needs root."""
    if os.geteuid() == 0:
        return Finding("privileges", State.OK, "root")
    return Finding("privileges", State.FAIL, f"uid {os.geteuid()}", "run as root")


def check_state_directory(root: Path) -> list[Finding]:
    """Where layers and snapshots are kept: writable, able to back mounts, with room."""
    existing = next(path for path in (root, *root.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        mend = f"make {root} writable, or set `root` in bootseer.yaml"
        return [Finding("root", State.FAIL, f"{existing}: {error.strerror}", mend)]
    findings = [Finding("root", State.OK, f"{root} is writable")]
    free = shutil.disk_usage(existing).free
    state = State.OK if free >= _FREE_BYTES else State.WARN
    mend = "" if state is State.OK else "layers are cached here: give it more room"
    findings.append(Finding("disk space", state, f"{free >> 30} GiB free at {existing}", mend))
    return findings


def check_file_backed(root: Path) -> Finding:
    """Mount a tiny EROFS image from a file, the way layers will be."""
    existing = next(path for path in (root, *root.parents) if path.exists())
    try:
        works = supports_file_backed(existing)
    except BootseerError as error:
        return Finding("EROFS from files", State.FAIL, error.message, error.hint or "")
    if works:
        return Finding("EROFS from files", State.OK, f"mounted one in {existing}")
    mend = "loop devices will be used: works, a little slower (tmpfs cannot back a mount either)"
    return Finding("EROFS from files", State.WARN, "the kernel refuses", mend)


def check_watching() -> Finding:
    """Does the kernel tell what is read while a start is recorded."""
    with tempfile.TemporaryDirectory() as name:
        tracefs = Tracefs(Path(name), Path(name), 0)
        try:
            tracefs.found()
            return Finding("reads told of", State.OK, EVENT)
        except HostError as error:
            mend = "works; a start that is recorded is up to three times as slow"
            return Finding("reads told of", State.WARN, error.message, mend)
        finally:
            tracefs.sweep()


def check_daemon(socket_path: Path) -> Finding:
    """Is somebody listening on the snapshotter's socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(socket_path))
        except OSError as error:
            detail = f"{socket_path}: {error.strerror or error}"
            mend = "systemctl start bootseer-snapshotter, or `bootseer snapshotter serve`"
            return Finding("snapshotter", State.WARN, detail, mend)
    return Finding("snapshotter", State.OK, f"answers on {socket_path}")


def check_containerd(address: str, name: str, config: Path = _CONTAINERD_CONFIG) -> list[Finding]:
    """Is containerd there, new enough, and told of us."""
    binary = shutil.which("containerd")
    if binary is None:
        return [Finding("containerd", State.WARN, "not on PATH", "install containerd 1.6 or newer")]
    done = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    findings = [Finding("containerd", State.OK, " ".join(done.stdout.split()[:3]))]
    if not config.exists():
        detail = f"{config} does not exist"
        return [*findings, Finding("containerd config", State.WARN, detail, _PLUGIN_HELP)]
    # containerd itself knows what the files come to that its own file imports.
    dump = [binary, "--config", str(config), "config", "dump"]
    done = subprocess.run(dump, capture_output=True, text=True, timeout=10, check=False)
    try:
        document = tomllib.loads(done.stdout)
    except tomllib.TOMLDecodeError as error:
        return [*findings, _broken(config, str(error))]
    if done.returncode:
        return [*findings, _broken(config, done.stderr.strip().rpartition("\n")[2])]
    return [*findings, *judge_config(document, address, name)]


def check_containerd_socket(address: str) -> list[Finding]:
    """Can containers' labels be asked for."""
    if not address:
        return []
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(address)
        except OSError as error:
            detail = f"{address}: {error.strerror or error}"
            mend = "start containerd, or set `containerd` in bootseer.yaml (docs/hot-blocks.md)"
            return [Finding("containerd socket", State.WARN, detail, mend)]
    return [Finding("containerd socket", State.OK, f"answers on {address}")]


def _broken(config: Path, reason: str) -> Finding:
    mend = "mend the file; containerd will not start with it"
    return Finding("containerd config", State.FAIL, f"{config}: {reason}", mend)


def judge_config(document: dict[str, Any], address: str, name: str) -> list[Finding]:
    """Say what of a containerd configuration keeps pulls from being lazy."""
    plugin = document.get("proxy_plugins", {}).get(name)
    if not isinstance(plugin, dict):
        detail = f"no [proxy_plugins.{name}]"
        return [Finding("containerd plugin", State.WARN, detail, _PLUGIN_HELP)]
    findings = []
    if plugin.get("address") != address:
        detail = f"address is {plugin.get('address')!r}, the snapshotter listens on {address!r}"
        findings.append(Finding("containerd plugin", State.FAIL, detail, "make them the same"))
    if "rebase" in plugin.get("capabilities", []):
        detail = 'capabilities has "rebase", with which parallel unpacking breaks lazy pulls'
        findings.append(Finding("containerd plugin", State.FAIL, detail, "remove it"))
    return findings or [Finding("containerd plugin", State.OK, f"[proxy_plugins.{name}]")]
