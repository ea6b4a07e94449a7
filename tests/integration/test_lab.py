"""The laboratory with everything real: namespaces, the limited link, registry, containerd, runc."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.images.demo import DemoImage
from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout, layout_manifest
from benchmarks.lab.access_log import blob_bytes
from benchmarks.lab.containerd import containerd
from benchmarks.lab.netns import REGISTRY_ADDRESS, Network, network, sweep
from benchmarks.lab.registry import registry
from benchmarks.lab.workdir import work_directory
from tooling.machine import architecture

pytestmark = pytest.mark.containers


def namespaces() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def net() -> Iterator[Network]:
    with network(None) as made:
        yield made


def tiny_image(directory: Path) -> DemoImage:
    tree = directory / "tree"
    (tree / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copyfile(busybox, tree / "bin/busybox")
    (tree / "bin/busybox").chmod(0o755)
    (tree / "bin/echo").symlink_to("busybox")
    (tree / "bin/sleep").symlink_to("busybox")
    layout = OciLayout(directory / "layout")
    layout.add_layer("busybox", LayerTar(tree).write)
    config = {"Cmd": ["/bin/echo", "hello"], "Env": ["PATH=/bin"]}
    layout.finish(
        name="demo", architecture=architecture(), config=config, created="2023-11-14T22:13:20Z"
    )
    return DemoImage(layout.root, ("/bin/echo", "hello"))


def test_nodes_reach_each_other_and_bytes_are_counted(net: Network) -> None:
    receive = "import socket; s = socket.create_server(('192.0.2.2', 9)); print('up', flush=True); "
    receive += "c = s.accept()[0]; print(sum(iter(lambda: len(c.recv(65536)), 0)))"
    send = "import socket; socket.create_connection(('192.0.2.2', 9)).sendall(bytes(3_000_000))"
    with subprocess.Popen(
        net.in_node([sys.executable, "-c", receive]), stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "up\n"
        subprocess.run(net.in_registry([sys.executable, "-c", send]), check=True, timeout=60)
        assert receiver.stdout.readline() == "3000000\n"
    assert net.bytes_to_node() > 3_000_000
    assert 0 < net.bytes_from_node() < 1_000_000


def test_rate_is_set_changed_and_lifted(net: Network) -> None:
    def shaping() -> str:
        show = ["tc", "-n", net.registry, "qdisc", "show", "dev", "lab0"]
        return subprocess.run(show, capture_output=True, text=True, check=True).stdout

    net.set_rate(200)
    assert "tbf" in shaping()
    assert "200Mbit" in shaping()
    net.set_rate(50)
    assert "50Mbit" in shaping()
    net.set_rate(None)
    assert "tbf" not in shaping()


def test_namespaces_and_what_runs_in_them_are_gone_after_an_error() -> None:
    names: list[str] = []
    processes: list[subprocess.Popen[bytes]] = []

    def fail() -> None:
        with network() as made:
            names.extend((made.registry, made.node))
            processes.append(subprocess.Popen(made.in_node(["sleep", "1000"])))
            while processes[0].pid not in made.processes():  # it enters by itself, in its own time
                assert processes[0].poll() is None
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not any(name in namespaces() for name in names)
    assert processes[0].wait(timeout=30) == -signal.SIGKILL


def test_what_a_killed_lab_left_is_swept() -> None:
    script = (
        "import os, signal\nfrom benchmarks.lab.netns import network\n"
        "with network() as made:\n"
        "    print(made.node, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    name = result.stdout.strip()
    assert name in namespaces()
    sweep()
    assert name not in namespaces()


def test_image_is_pushed_pulled_and_run_and_everything_is_undone() -> None:
    with work_directory() as work, network(None) as net:
        image = tiny_image(work)
        with (
            registry(net, work / "r") as hub,
            containerd(net, work / "c", registry_host=hub.host) as engine,
        ):
            assert hub.host.startswith(REGISTRY_ADDRESS)
            reference = f"{hub.host}/tiny:latest"
            image.push(reference, prefix=net.in_registry())
            hub.new_requests()
            engine.pull(reference)
            layers = {one["digest"] for one in layout_manifest(image.layout)["layers"]}
            sent = blob_bytes(hub.new_requests())
            assert layers <= set(sent)
            command = engine.run_command(reference, "one")
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (result.returncode, result.stdout) == (0, "hello\n")
            with subprocess.Popen(
                engine.run_command(reference, "two", "/bin/sleep", "1000"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as sleeping:
                running = "two"
                while running not in engine.ctr("tasks", "list", "--quiet"):
                    assert sleeping.poll() is None
                engine.running.process.kill()  # even when containerd itself cannot help any more
                engine.running.process.wait()
                sleeping.kill()
        assert net.processes() == []
    assert not work.exists()
    assert str(work) not in Path("/proc/self/mountinfo").read_text()
