"""Server, keeper and containerd killed in every order, amid pulls, reads, collections, commits.

What was read is right or an error, and an error only where the keeper was killed (without a service
manager that keeps its descriptors). What was committed stays. Afterwards everything works.
"""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from grpc import aio
from layer_reader import data_tree
from snapshot_client import Client
from trouble_image import SUMS, TroubleImage, new_directories, publish_indexes, trouble_image
from whole import Whole, bootseer, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError

pytestmark = pytest.mark.containers

_PAUSE_S = 0.1
"""Between two works of a kind: others use this machine too."""
PARTS = ("server", "keeper", "containerd")
ORDERS = [order for count in (1, 2, 3) for order in itertools.permutations(PARTS, count)]

READER = """
import hashlib, sys, time
while True:
    time.sleep(0.02)
    digest = hashlib.sha256()
    try:
        for name in ("big", "one", "two"):
            with open(f"{sys.argv[1]}/data/{name}", "rb") as file:
                digest.update(file.read())
        print(digest.hexdigest(), flush=True)
    except OSError as error:
        print("error", error.errno, flush=True)
"""
"""Reads a layer's files over and over, as a container does that is not containerd's child."""


@dataclass
class Busy:
    """What goes on while processes are killed."""

    node: Whole
    pulled: TroubleImage
    committed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def pull(self) -> None:
        """Pull and remove an image."""
        with suppress(HostError):
            self.node.pull(self.pulled.reference)
            self.node.remove(self.pulled.reference)

    def collect(self) -> None:
        """Have the daemon give up what nothing needs."""
        with suppress(AssertionError):
            bootseer("gc", "--config", str(self.node.daemon.config))

    def commit(self) -> None:
        """Prepare and commit snapshots until that fails."""
        with suppress(aio.AioRpcError):
            asyncio.run(self._commit())

    async def _commit(self) -> None:
        async with client_of(self.node) as client:
            for _ in range(20):
                name = f"c{len(self.committed)}-{os.urandom(4).hex()}"
                await client.prepare(f"{name}-active")
                await client.commit(name, f"{name}-active")
                self.committed.append(name)
                await client.cleanup()

    def loop(self, work: Callable[[], None]) -> None:
        while not self.over.wait(_PAUSE_S):
            work()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        works = (self.pull, self.collect, self.commit)
        threads = [threading.Thread(target=self.loop, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(120)
                assert not thread.is_alive(), "it hangs"


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory) as made:
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> TroubleImage:
    made = trouble_image(node, "read")
    publish_indexes(node, made)
    node.pull(made.reference)
    return made


@pytest.fixture(scope="module")
def tree(node: Whole, image: TroubleImage) -> Path:
    """Where the image's data layer is mounted."""
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    return data_tree(node.daemon, image)


@pytest.fixture(scope="module")
def other(node: Whole) -> TroubleImage:
    made = trouble_image(node, "pulled")
    publish_indexes(node, made)
    return made


def kill(node: Whole, victim: str) -> None:
    """Kill a part; what is read from now on is not in the page cache, all the same."""
    if victim == "server":
        with suppress(ProcessLookupError):
            os.kill(node.daemon.server_pid(), signal.SIGKILL)
    else:
        (node.daemon.keeper if victim == "keeper" else node.containerd.running).kill()
    Path("/proc/sys/vm/drop_caches").write_text("1")


def revive(node: Whole, victims: Sequence[str]) -> None:
    if "keeper" in victims:
        server = Path(f"/proc/{node.daemon.server_pid()}")
        wait_for(lambda: not server.exists(), "the server to follow its keeper")
        before = node.daemon.log().count("daemon.serving")
        node.daemon.keeper.start_again()
        wait_for(lambda: node.daemon.log().count("daemon.serving") > before, "the daemon", 60)
    if "containerd" in victims:
        node.containerd.running.start_again()
    node.wait_connected()


@asynccontextmanager
async def client_of(node: Whole) -> AsyncIterator[Client]:
    """Connect anew: who shared a connection would share its pauses between two tries as well."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(f"unix:{node.daemon.address}", options=options) as channel:
        yield Client(channel, "another")


async def taken_back(node: Whole) -> set[str]:
    """Remove all snapshots of ours, and return their names."""
    async with client_of(node) as client:
        found = set(await client.list())
        for name in found:
            await client.remove(name)
        return found


@pytest.mark.parametrize("victims", ORDERS, ids="-".join)
def test_whoever_is_killed_reads_are_right_and_what_was_promised_stays(
    node: Whole, image: TroubleImage, tree: Path, other: TroubleImage, victims: Sequence[str]
) -> None:
    busy = Busy(node, other)
    argv = [sys.executable, "-c", READER, str(tree)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        lines = iter(reader.stdout.readline, "")
        with busy.going_on():
            seen = [next(lines)]
            for victim in victims:
                kill(node, victim)
            revive(node, victims)
        right = image.sums.split()[0]
        seen += [next(lines) for _ in range(2)]
        while "keeper" in victims and seen[-1].strip() != right:
            seen.append(next(lines))
        reader.kill()
    told = {line.strip() for line in seen}
    assert right in told
    others = {line for line in told if line != right}
    assert all(line.startswith("error") for line in others)
    assert not others or "keeper" in victims
    assert set(busy.committed) <= asyncio.run(taken_back(node))
    node.pull(other.reference)
    assert node.run(other.reference, "sh", "-c", SUMS) == other.sums
    assert new_directories(node.daemon.root) == []
