"""`bootseer hot record`, and what a node does behind it: fill, check, pack."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_image import SmallImage, small_image
from whole import Whole, bootseer, wait_for, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers

SETTINGS = "hot:\n  quiet: 1\nfill:\n  after: 0.1\n  rate: 1GiB\n  least_free: 0\n"
READ_ALL = "find /data -type f | sort | xargs sha256sum"


@pytest.fixture
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


@pytest.fixture
def image(node: Whole) -> SmallImage:
    made = small_image(node.directory / "image", node.registry.host)
    bootseer("image", "index", made.reference, "--config", str(node.daemon.config))
    return made


def record(node: Whole, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `bootseer hot record` as a person would."""
    where = ["--address", str(node.containerd.socket), "--config", str(node.daemon.config)]
    where += ["--namespace", node.containerd.namespace]
    where += ["--ctr", str(node.containerd.bin / "ctr"), "--plain-http"]
    command = [sys.executable, "-m", "bootseer", "hot", "record", *where, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def read_past_us(node: Whole) -> set[str]:
    """Return the layers whose newest mount is of local files alone."""
    newest = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        path = Path(line.split(" ")[4])
        if path.parent.parent == node.daemon.root / "l":
            newest[str(path)] = line
    return {path for path, line in newest.items() if "directio" in line}


def is_kept(node: Whole) -> bool:
    """Say whether the hot areas are whole, and a server that is killed now leaves them so."""
    missing = sum(image["blocks_missing"] for image in node.daemon.status()["hot"]["images"])
    areas = list((node.daemon.root / "l").glob("*/h*"))
    if missing or not areas or not all((area / "present").exists() for area in areas):
        return False
    times = [[(area / name).stat().st_mtime_ns for name in ("data", "present")] for area in areas]
    return all(data < present for data, present in times)


def test_a_start_is_recorded_on_purpose_and_the_commands_exit_code_passed_on(
    node: Whole, image: SmallImage
) -> None:
    done = record(
        node,
        "--json",
        "--workload",
        "train",
        image.reference,
        "--",
        "sh",
        "-c",
        f"sha256sum {image.big} >/dev/null; exit 3",
    )
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert (told["published"], told["workload"], told["exit_code"]) == (True, "train", 3)
    size = (node.directory / "image/data" / image.big.lstrip("/")).stat().st_size
    assert told["blocks"] * 4096 >= size
    listed = json.loads(
        bootseer("hot", "ls", image.reference, "--json", "--config", str(node.daemon.config))
    )
    records = [one["workload"] for one in listed["stored"] if one["kind"] == "records"]
    assert records == ["train"], "there may be a pack by now, too"


def test_what_is_not_served_lazily_cannot_be_recorded(node: Whole, image: SmallImage) -> None:
    done = record(node, "--json", "127.0.0.1:1/nothing:latest")
    assert done.returncode == 6
    assert "cannot pull" in json.loads(done.stderr)["message"]


def test_a_node_fills_checks_and_packs_what_it_recorded_and_then_needs_no_registry(
    node: Whole, image: SmallImage
) -> None:
    node.pull(image.reference)
    node.run(image.reference, "sh", "-c", f"sha256sum {image.big} /data/1/*")
    wait_for(lambda: "hot.packed" in node.daemon.log(), "the pack", seconds=180)
    wait_for(lambda: len(read_past_us(node)) == len(image.layers), "layers to be mounted anew")
    status = node.daemon.status()
    assert all(layer["verified"] for layer in status["layers"])
    assert all(layer["chunks_local"] == layer["chunks"] for layer in status["layers"])
    node.run(image.reference)
    assert "course=pack" in node.daemon.log()
    wait_for(lambda: is_kept(node), "hot areas to be kept")
    node.registry.running.process.kill()
    node.registry.running.process.wait()
    node.kill_server()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    output = node.run(image.reference, "sh", "-c", READ_ALL)
    found = {path: digest for digest, path in (line.split() for line in output.splitlines())}
    assert found == image.contents
    assert "course=ready" in node.daemon.log(), "what is here is used without asking"
