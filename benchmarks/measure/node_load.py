"""A node under load, and one without any: many starts at once, calls of containerd, reads, rest."""

import asyncio
import hashlib
import mmap
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
from grpc import aio

from benchmarks.figures import Figure, spread
from benchmarks.lab import starts
from benchmarks.lab.access_log import blob_bytes
from benchmarks.lab.netns import Network
from benchmarks.lab.page_cache import drop_all_but, drop_caches
from benchmarks.lab.registry import Registry
from benchmarks.lab.starts import Node
from benchmarks.measure.local_start import answers, wait_until
from benchmarks.measure.memory import children
from benchmarks.measure.trees import read_seconds
from bootseer.errors import HostError
from snapshotter.service.protos import snapshots_pb2 as pb
from snapshotter.service.protos.snapshots_pb2_grpc import SnapshotsStub
from tooling.progress import doing

if TYPE_CHECKING:
    from benchmarks.lab.timeline import Event
    from snapshotter.service.protos.snapshots_pb2_grpc import SnapshotsAsyncStub

AT_ONCE: Final = 50
_SHARE: Final = 2.5
_ONCE: Final = 1.02
_PREPARE_MS: Final = 50.0
_PREPARE_MOST_S: Final = 30.0
_IDLE_S: Final = 60.0
_STANDBY: Final = "keeper.standby_ready"
"""After that the keeper has nothing more to start."""
_IDLE_PERCENT: Final = 0.5
_BLOCK: Final = 4096
_THREADS: Final = 4
_READ_S: Final = 3.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_REF: Final = "containerd.io/snapshot.ref"
_CRI: Final = "containerd.io/snapshot/cri."


@dataclass(frozen=True, slots=True)
class ReadGoals:
    """What random reads are to reach: a count a second, or a share of what ext4 gives."""

    name: str
    count: float | None = None
    share: float | None = None


SERVED: Final = ReadGoals("served by us", count=15_000.0)
"""Served by us."""
LOCAL: Final = ReadGoals("layer local", share=0.9)
"""The layer is whole, and mounted past us."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where to measure."""

    network: Network
    directory: Path
    server: Registry
    reference: str
    layers: Sequence[str]
    """Digests, bottom first."""


def cpu_seconds() -> float:
    """Return the processor time that the machine has used so far."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _, _, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / _TICKS


def measure_many(site: Site, command: Sequence[str]) -> list[Figure]:
    """Start one container, then on a node with nothing on it fifty at once.

    One alone takes `wall` seconds and `cpu` seconds of processor time. Given a fiftieth of this
    machine's `n` processors it would take the time in which it does not compute, and its
    processor time at the speed of `n / 50` processors: what fifty at once are compared with.
    """
    site.network.set_rate(None)
    with _node(site, "one") as node, doing("one start"):
        before = cpu_seconds()
        one, alone = _starts(node, site, command, 1)
        cpu = cpu_seconds() - before
    share = max(alone[0] - cpu, 0.0) + cpu * AT_ONCE / (os.cpu_count() or 1)
    with _node(site, "many") as node, doing(f"{AT_ONCE} starts at once"):
        many, times = _starts(node, site, command, AT_ONCE)
    p95 = sorted(times)[-(-95 * len(times) // 100) - 1]
    name = f"{AT_ONCE} containers of one image at once"
    return [
        Figure(f"{name}: p95 / one alone with the same share", p95 / share, "x", _SHARE),
        Figure(f"{name}: bytes of blobs / of one alone", many / one, "x", _ONCE),
        Figure("one container alone", alone[0], "s"),
        Figure("one container alone, processor time of the machine", cpu, "s"),
        *spread(name, times, "s"),
    ]


def _starts(node: Node, site: Site, command: Sequence[str], count: int) -> tuple[int, list[float]]:
    """Pull, then start so many containers at once; return bytes of blobs sent, and the times."""
    drop_all_but(site.server.served_files())
    site.server.new_requests()
    node.containerd.pull(site.reference, snapshotter=starts.LAZY)
    times: list[float] = []
    failures: list[HostError] = []

    def one(number: int) -> None:
        events: list[Event] = []
        try:
            starts.create_and_run(node, site.reference, starts.LAZY, command, events)
        except HostError as error:
            failures.append(error)
            return
        times.append(events[-1].at - events[0].at)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    sent = blob_bytes(site.server.new_requests())
    return sum(sent[layer] for layer in site.layers), times


@contextmanager
def _node(site: Site, name: str) -> Iterator[Node]:
    settings = "hot: {record: never, prefetch: false}\nfill: {rate: 0}\n"
    directory = site.directory / name
    with starts.fresh_node(site.network, directory, site.server.host, settings) as node:
        yield node


def measure_prepare(site: Site, runs: int) -> list[Figure]:
    """Ask for layers whose index and metadata are on the node; then with a registry that hangs."""
    with _node(site, "prepare") as node:
        node.containerd.pull(site.reference, snapshotter=starts.LAZY)
        manifest = _manifest(node, site.reference)
        with doing("Prepare, metadata on the node"):
            known = asyncio.run(_prepares(node, site, manifest, [f"k{n}" for n in range(8 * runs)]))
        with doing("Prepare, the registry hangs"):
            site.server.running.process.send_signal(signal.SIGSTOP)
            try:
                hanging = asyncio.run(_prepares(node, site, manifest, ["h"]))
                _forget(node, site)
                hanging += asyncio.run(_prepares(node, site, manifest, ["f"]))
            finally:
                site.server.running.process.send_signal(signal.SIGCONT)
    name = "Prepare of an indexed layer"
    return [
        Figure(
            f"{name}, metadata cached: median",
            1000 * statistics.median(known),
            "ms",
            _PREPARE_MS,
        ),
        Figure(f"{name}, metadata cached: most", 1000 * max(known), "ms"),
        Figure(f"{name}, the registry hangs: most", max(hanging), "s", _PREPARE_MOST_S),
    ]


def _manifest(node: Node, reference: str) -> str:
    """Return the digest of a pulled image's manifest. Raises `HostError`."""
    listed = node.containerd.ctr("images", "ls", f"name=={reference}").splitlines()
    for word in listed[-1].split():
        if word.startswith("sha256:"):
            return word
    raise HostError(f"{reference} is not there")


def _forget(node: Node, site: Site) -> None:
    """Have the node know nothing of the image any more."""
    node.containerd.ctr("images", "rm", "--sync", site.reference)
    before = starts.status(node)["pid"]
    node.snapshotter.process.send_signal(signal.SIGHUP)
    wait_until(lambda: _server(node) not in (None, before), "the next server")
    wait_until(lambda: answers(node), "containerd to reach the snapshotter")


def _server(node: Node) -> int | None:
    try:
        return int(starts.status(node)["pid"])
    except HostError:  # between the two
        return None


async def _prepares(node: Node, site: Site, manifest: str, salts: Sequence[str]) -> list[float]:
    """Ask for all layers under chain IDs of our own, once for each salt; return the seconds."""
    found = []
    async with aio.insecure_channel(f"unix:{node.address}") as channel:
        stub: SnapshotsAsyncStub = SnapshotsStub(channel)
        for salt in salts:
            parent = ""
            for layer in site.layers:
                chain = f"sha256:{hashlib.sha256(f'{salt}{layer}'.encode()).hexdigest()}"
                labels = {
                    _REF: chain,
                    f"{_CRI}image-ref": site.reference,
                    f"{_CRI}manifest-digest": manifest,
                    f"{_CRI}layer-digest": layer,
                }
                began = time.perf_counter()
                if not await _prepare(stub, f"{salt}-{chain}", parent, labels):
                    break  # left to containerd, which would unpack it and all above it
                found.append(time.perf_counter() - began)
                parent = chain
            else:
                continue
            found.append(time.perf_counter() - began)
    return found


async def _prepare(
    stub: "SnapshotsAsyncStub", key: str, parent: str, labels: Mapping[str, str]
) -> bool:
    """Say whether the layer is served lazily."""
    request = pb.PrepareSnapshotRequest(snapshotter="bench", key=key, parent=parent, labels=labels)
    try:
        await stub.Prepare(request, timeout=700)
    except aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise HostError(f"Prepare: {error.details()}") from error
        return True
    return False


def measure_idle(site: Site) -> list[Figure]:
    """Look at the processor time of keeper, server and workers: an image mounted and no work."""
    with _node(site, "idle") as node, doing(f"doing nothing for {_IDLE_S:.0f} s"):
        node.containerd.pull(site.reference, snapshotter=starts.LAZY)
        running = node.snapshotter
        running.wait_until(lambda: _STANDBY in running.log.read_text(), seconds=120)
        time.sleep(10)
        keeper = running.process.pid
        before = _family_seconds(keeper)
        time.sleep(_IDLE_S)
        used = _family_seconds(keeper) - before
    percent = 100 * used / _IDLE_S
    return [Figure("idle: processor time of the daemon", percent, "% of a core", _IDLE_PERCENT)]


def _family_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:  # it has just ended
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / _TICKS
    return own + sum(_family_seconds(child) for child in children(pid))


def random_reads(path: Path, warm: Path | None = None) -> float:
    """Return how many blocks a second several threads read, each block once, in random order.

    The page cache has nothing of the file, but all of `warm`.
    """
    blocks = list(range(path.stat().st_size // _BLOCK))
    random.Random(1).shuffle(blocks)
    shares = [blocks[number::_THREADS] for number in range(_THREADS)]
    drop_caches()
    if warm:
        read_seconds(warm)
    counts = [0] * _THREADS
    began = time.perf_counter()

    def one(number: int) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        buffer = mmap.mmap(-1, _BLOCK)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        try:
            for block in shares[number]:
                os.preadv(descriptor, [buffer], block * _BLOCK)
                counts[number] += 1
                if time.perf_counter() - began > _READ_S:
                    break
        finally:
            os.close(descriptor)
            buffer.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def measure_reads(
    ours: Path, theirs: Path, runs: int, goals: ReadGoals, warm: Path | None = None
) -> list[Figure]:
    """Read blocks of the largest library of two trees, whose chunks are all on the node.

    `warm`: the cache file, where reads that we serve are to find it in the page cache.
    """
    largest = max(
        (path for path in ours.rglob("*.so*") if path.is_file() and not path.is_symlink()),
        key=lambda path: path.stat().st_size,
    )
    other = theirs / largest.relative_to(ours)
    with doing(f"random reads, {goals.name}"):
        read_seconds(largest)
        pairs = [(random_reads(largest, warm), random_reads(other)) for _ in range(runs)]
    own, ext4 = [a for a, _ in pairs], [b for _, b in pairs]
    ratio = statistics.median(a / b for a, b in pairs)
    title = f"random 4 KiB reads, page cache cold, {goals.name}"
    return [
        Figure(f"{title}: ours", statistics.median(own), "1/s", goals.count, "higher"),
        Figure(f"{title}: ours / ext4", ratio, "x", goals.share, "higher"),
        Figure(f"{title}: ext4", statistics.median(ext4), "1/s"),
    ]
