"""A node that knows many images, after a restart and after its server was killed.

The state is made by the code that makes it on a node, but without a registry: tiny layers, two
thousand of them, each with an index, metadata and a row in the snapshot store. None is local, so
that every mount is served by us.
"""

import gzip
import hashlib
import io
import os
import signal
import subprocess
import tarfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, spread
from benchmarks.lab.netns import Network
from benchmarks.lab.page_cache import drop_caches
from benchmarks.lab.starts import daemon
from benchmarks.measure.local_start import wait_until
from benchmarks.measure.memory import children
from bootseer.atomic import write_atomic
from bootseer.errors import HostError
from snapshotter.blocks.names import LayerName, name_of
from snapshotter.chunks.cachefile import CacheFile
from snapshotter.layers.format import encode
from snapshotter.layers.indexer import LayerIndexer
from snapshotter.serving.layout import INDEX, RECORD, LayerRecord, Layout, MountId, record_of
from snapshotter.serving.materialise import write_metadata
from snapshotter.snapshots.labels import TARGET
from snapshotter.snapshots.ports import LayerMount
from snapshotter.snapshots.state import State
from tooling.progress import doing

IMAGES: Final = 200
LAYERS: Final = 10
"""Of each image."""
_SERVES_S: Final = 3.0
_TAKES_OVER_S: Final = 1.0
_PLUGIN: Final = "bootseer"
_CONTENT: Final = 20_000
_WAIT_S: Final = 120.0
_RESTORED: Final = "daemon.restored"
_STANDBY: Final = "keeper.standby_ready"


@dataclass(frozen=True, slots=True)
class Known:
    """A layer that the node knows."""

    mount: MountId
    record: LayerRecord
    chain: str
    parent: str


def make_state(root: Path) -> list[Known]:
    """Make the state of a node that has pulled all images."""
    layout = Layout(root)
    layout.layers.mkdir(parents=True)
    found = []
    with doing(f"{IMAGES} images of {LAYERS} layers"):
        for image in range(IMAGES):
            parent = ""
            for number in range(LAYERS):
                known = _make_layer(layout, f"{image}-{number}", parent)
                found.append(known)
                parent = known.chain
        state = State(root)
        for known in found:
            record = known.record
            mount = LayerMount(str(known.mount), record.size, record.inodes)
            state.serve(_PLUGIN, known.chain, known.parent, {TARGET: known.chain}, mount)
        state.close()
    return found


def _make_layer(layout: Layout, salt: str, parent: str) -> Known:
    indexer = LayerIndexer()
    content = hashlib.shake_256(salt.encode()).digest(_CONTENT)
    indexer.feed(_layer(salt, content))
    made = indexer.finish().index
    encoded = encode(made)
    digest = f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    name = name_of(made.layer_digest, digest)
    directory = layout.layer(name)
    directory.mkdir()
    write_atomic(directory / INDEX, encoded, durable=False)
    record = record_of(write_metadata(made, digest, directory), "registry.invalid/x", digest)
    _fill_cache(directory, made.chunks.data.tolist(), content, hashlib.sha256(encoded).digest())
    write_atomic(directory / RECORD, record.encode(), durable=False)
    chain = f"sha256:{hashlib.sha256((parent + digest).encode()).hexdigest()}"
    return Known(MountId(LayerName(name), bottom=False), record, chain, parent)


def _fill_cache(directory: Path, edges: list[int], content: bytes, key: bytes) -> None:
    """Put the layer's file into its cache."""
    cache = CacheFile(directory, key=key, chunks=len(edges) - 1, size=edges[-1], keep_blob=False)
    cache.write(0, content)
    for chunk in range(len(edges) - 1):
        cache.presence.add(chunk)
    write_atomic(directory / "present", cache.presence.encode(key), durable=False)
    cache.close()


def _layer(salt: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(f"usr/lib/file-{salt}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), compresslevel=1, mtime=0)


def measure(network: Network, directory: Path, runs: int) -> list[Figure]:
    """Start the daemon on the state; kill its server while all layers are mounted."""
    directory.mkdir()
    root, address = directory / "b", directory / "s.sock"
    known = make_state(root)
    config = directory / "bootseer.yaml"
    config.write_text(
        f"root: {root}\nrun_dir: {directory / 'run'}\naddress: {address}\ncontainerd: ''\n"
        "fill: {rate: 0}\ncache: {unused_free: 0, least_free: 0}\nfuse: {standby: 5}\n"
    )
    log = directory / "log"
    serving, takeovers = [], []
    for number in range(runs):
        drop_caches()
        began = time.monotonic()
        with daemon(network, config, log) as running:
            serving.append(time.monotonic() - began)
            with doing("mounting all layers"):
                wait_until(lambda: _RESTORED in log.read_text(), "all layers to be mounted")
            with doing("waiting for a server to wait beside the one that serves"):
                wait_until(lambda: _is_guarded(log), "a server that waits")
            # One a daemon: after the second death within a minute a keeper takes its time.
            victim = Layout(root).mount_point(known[number * LAYERS].mount)
            takeovers.append(_takeover(running.process.pid, victim))
        log.unlink()
    count = f"{IMAGES} images x {LAYERS} layers"
    return [
        *_figures(f"{count}: serving again after a restart", serving, _SERVES_S),
        *_figures(
            f"{count}, all mounted: server killed to read answered", takeovers, _TAKES_OVER_S
        ),
    ]


def _is_guarded(log: Path) -> bool:
    """Say whether a server is ready beside the one that serves."""
    said = log.read_text()
    return said.rfind(_STANDBY) > said.rfind("keeper.server_started")


def _figures(name: str, values: list[float], goal: float) -> list[Figure]:
    median, *others = spread(name, values, "s")
    return [replace(median, goal=goal), *others]


def _takeover(keeper: int, mount_point: Path) -> float:
    """Kill the server; return after how many seconds a file that nobody read yet is read."""
    drop_caches()
    server = children(keeper)[0]
    os.kill(server, signal.SIGKILL)
    began = time.monotonic()
    done = subprocess.run(
        ["find", str(mount_point), "-type", "f", "-exec", "cat", "{}", "+"],
        capture_output=True,
        timeout=_WAIT_S,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode or len(done.stdout) != _CONTENT:
        raise HostError(f"{mount_point} cannot be read: {done.stderr.decode(errors='replace')}")
    return seconds
