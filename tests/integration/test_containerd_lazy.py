"""A real pull by containerd 2.x through the transfer service: no layer is downloaded."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.images.demo import DemoImage
from benchmarks.images.oci_layout import layout_manifest
from benchmarks.lab.access_log import blob_bytes
from benchmarks.lab.containerd import Containerd, ProxySnapshotter, containerd
from benchmarks.lab.netns import Network, network
from benchmarks.lab.registry import Registry, registry
from benchmarks.lab.workdir import work_directory
from snapshotter.snapshots.core import Settings
from tests.integration.containerd_fixture import PLUGIN, collect_garbage, tiny_layout, tiny_trees
from tests.integration.directory_layers import DirectoryLayers
from tests.integration.snapshot_client import Client, served

pytestmark = pytest.mark.containers


@pytest.fixture
def work() -> Iterator[Path]:
    with work_directory() as work:
        yield work


@pytest.fixture
def net() -> Iterator[Network]:
    with network(None) as net:
        yield net


@pytest.fixture
def hub(net: Network, work: Path) -> Iterator[Registry]:
    with registry(net, work / "r") as hub:
        yield hub


def pushed(work: Path, net: Network, hub: Registry) -> tuple[str, dict[str, Path]]:
    """Push the tiny image; return its reference and the tree of each of its layers."""
    trees = tiny_trees(work / "trees")
    layout = tiny_layout(work / "layout", trees, name="demo")
    reference = f"{hub.host}/tiny:latest"
    DemoImage(layout, ("/bin/cat", "/etc/greeting")).push(reference, prefix=net.in_registry())
    digests = [layer["digest"] for layer in layout_manifest(layout)["layers"]]
    hub.new_requests()
    return reference, dict(zip(digests, trees, strict=True))


def run(engine: Containerd, reference: str, name: str) -> str:
    command = engine.run_command(reference, name, snapshotter=PLUGIN)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("staged", [False, True])
async def test_an_image_is_pulled_without_its_layers_and_runs(
    work: Path, net: Network, hub: Registry, staged: bool
) -> None:
    reference, trees = pushed(work, net, hub)
    provider = DirectoryLayers(work / "l", trees)

    def use(proxy: ProxySnapshotter) -> None:
        with containerd(net, work / "c", registry_host=hub.host, proxy=proxy) as engine:
            engine.pull(reference, snapshotter=PLUGIN)
            assert not blob_bytes(hub.new_requests()).keys() & trees.keys()
            assert run(engine, reference, "one") == "hello\n"
            engine.ctr("images", "remove", "--sync", reference)
            collect_garbage(engine)

    async with served(work / "s", provider, Settings(staged=staged)) as client:
        client.snapshotter = PLUGIN
        await asyncio.to_thread(use, ProxySnapshotter(PLUGIN, work / "s.sock", work / "s"))
        assert [request.layer_digest for request in provider.requests] == list(trees)
        assert {request.image_ref for request in provider.requests} == {reference}
        assert await client.list() == {}
        while provider.mounted():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("missing", [0, 1])
async def test_an_image_of_which_one_layer_is_not_served_is_pulled_and_runs(
    work: Path, net: Network, hub: Registry, missing: int
) -> None:
    reference, trees = pushed(work, net, hub)
    digests = list(trees)
    some = {digest: trees[digest] for digest in digests if digest != digests[missing]}
    provider = DirectoryLayers(work / "l", some)

    def use(proxy: ProxySnapshotter) -> None:
        with containerd(net, work / "c", registry_host=hub.host, proxy=proxy) as engine:
            engine.pull(reference, snapshotter=PLUGIN)
            assert digests[missing] in blob_bytes(hub.new_requests())
            assert run(engine, reference, "one") == "hello\n"

    async with served(work / "s", provider):
        await asyncio.to_thread(use, ProxySnapshotter(PLUGIN, work / "s.sock", work / "s"))
    provider.unmount_all()


async def test_a_second_namespace_pulls_what_the_first_has(
    work: Path, net: Network, hub: Registry
) -> None:
    reference, trees = pushed(work, net, hub)
    provider = DirectoryLayers(work / "l", trees)

    def use(client: Client) -> None:
        proxy = ProxySnapshotter(PLUGIN, work / "s.sock", work / "s")
        with containerd(net, work / "c", registry_host=hub.host, proxy=proxy) as engine:
            engine.pull(reference, snapshotter=PLUGIN)
            options = ["--hosts-dir", str(engine.certs), "--snapshotter", PLUGIN]
            engine.ctr("-n", "other", "images", "pull", *options, reference)
            engine.ctr("images", "remove", "--sync", reference)
            collect_garbage(engine)
            assert "sha256" in engine.ctr("-n", "other", "snapshots", "--snapshotter", PLUGIN, "ls")
            engine.pull(reference, snapshotter=PLUGIN)
            assert run(engine, reference, "one") == "hello\n"
            engine.ctr("-n", "other", "images", "remove", "--sync", reference)
            engine.ctr("images", "remove", "--sync", reference)
            collect_garbage(engine)

    async with served(work / "s", provider) as client:
        client.snapshotter = PLUGIN
        await asyncio.to_thread(use, client)
        assert len(provider.requests) == len(trees)
        assert await client.list() == {}
    provider.unmount_all()
