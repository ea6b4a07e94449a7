"""The unit that is shipped, under a real systemd: its store keeps the connection over restarts."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from grpc import aio
from layer_reader import LayerReader, layer_reader, right
from small_image import manifest_digest
from snapshot_client import Client
from systemd_lab import UNIT, Systemd, systemd
from trouble_image import TroubleImage, publish_indexes, trouble_image
from whole import PLUGIN, LocalRegistry, local_registry, wait_for

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers


@dataclass
class Managed:
    """A daemon under systemd, and a registry."""

    directory: Path
    registry: LocalRegistry
    manager: Systemd
    root: Path
    address: Path
    log: Path

    def said(self, event: str) -> int:
        return self.log.read_text(errors="replace").count(event)

    def served_since(self, count: int) -> bool:
        return self.said("daemon.serving") > count


@pytest.fixture(scope="module")
def managed() -> Iterator[Managed]:
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        registry = stack.enter_context(local_registry(directory / "reg"))
        root, address, log = directory / "r", directory / "s.sock", directory / "log"
        config = directory / "bootseer.yaml"
        config.write_text(
            f"root: {root}\nrun_dir: {directory / 'run'}\naddress: {address}\ncontainerd: ''\n"
            f"fill: {{rate: 0}}\nregistry: {{config_path: {directory / 'certs.d'}}}\n"
        )
        manager = stack.enter_context(systemd(directory / "systemd", config, log))
        made = Managed(directory, registry, manager, root, address, log)
        manager.ctl("start", UNIT)
        yield made
        manager.ctl("stop", UNIT)


async def prepare(managed: Managed, image: TroubleImage) -> None:
    """Ask for the layers as containerd does."""
    manifest = await asyncio.to_thread(manifest_digest, image.reference)
    async with aio.insecure_channel(f"unix:{managed.address}") as channel:
        client, parent = Client(channel, PLUGIN), ""
        for layer in image.layers:
            chain = f"sha256:{hashlib.sha256(layer.encode()).hexdigest()}"
            labels = {
                "containerd.io/snapshot.ref": chain,
                "containerd.io/snapshot/cri.image-ref": image.reference,
                "containerd.io/snapshot/cri.manifest-digest": manifest,
                "containerd.io/snapshot/cri.layer-digest": layer,
            }
            with pytest.raises(aio.AioRpcError):
                await client.prepare(f"extract-{chain}", parent, labels)
            parent = chain


def tree_of(managed: Managed) -> Path:
    """Return where the data layer is mounted."""
    records = managed.root.glob("l/*/layer.json")
    largest = max(records, key=lambda path: (path.parent / "data").stat().st_size)
    return largest.parent / "fs"


def reader(managed: Managed) -> AbstractContextManager[LayerReader]:
    return layer_reader(tree_of(managed), managed.manager.command())


def test_the_store_keeps_the_connection_while_the_keeper_is_killed_restarted_and_upgraded(
    managed: Managed,
) -> None:
    image = trouble_image(managed, "managed")
    publish_indexes(managed, image)
    asyncio.run(prepare(managed, image))
    manager, expected = managed.manager, right(image)
    assert manager.fds_stored() == 2
    with reader(managed) as running:
        assert running.read(2) == [expected] * 2
        verbs = (["kill", "-s", "KILL", "--kill-who=main"], ["restart"])
        for inherited, verb in enumerate(verbs, 1):
            before, serving = manager.main_pid(), managed.said("daemon.serving")
            manager.ctl(*verb, UNIT)
            Path("/proc/sys/vm/drop_caches").write_text("1")
            assert running.read(3) == [expected] * 3
            wait_for(partial(managed.served_since, serving), "the next daemon", 60)
            assert managed.said("keeper.connection_inherited") == inherited
            assert manager.main_pid() != before
            assert manager.fds_stored() == 2
        before, serving = manager.main_pid(), managed.said("daemon.serving")
        manager.ctl("reload", UNIT)
        assert running.read(3) == [expected] * 3
        wait_for(lambda: managed.said("daemon.serving") > serving, "the next server", 60)
        assert manager.main_pid() == before
        assert managed.said("keeper.keeper_replaced") == 1
        assert manager.fds_stored() == 2
    assert managed.said("block.io_error") == 0


def test_after_a_stop_and_a_start_everything_is_mounted_anew(managed: Managed) -> None:
    image = trouble_image(managed, "stopped", megabytes=3)
    publish_indexes(managed, image)
    asyncio.run(prepare(managed, image))
    managed.manager.ctl("stop", UNIT)
    assert managed.manager.fds_stored() == 0
    restored = managed.said("daemon.restored")
    managed.manager.ctl("start", UNIT)
    wait_for(lambda: managed.said("daemon.restored") > restored, "the mounts", 60)
    with reader(managed) as running:
        assert running.read() == [right(image)]
