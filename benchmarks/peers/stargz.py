"""The stargz snapshotter with images in its own format, optimised as its own optimiser does it.

Its packages are built with a main program of ours (`stargz/`), which calls its service and its
converter with their defaults.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.lab import demo, starts
from benchmarks.lab.cli import bootseer
from benchmarks.lab.containerd import ProxySnapshotter, containerd
from benchmarks.lab.netns import Network
from benchmarks.lab.registry import Registry
from benchmarks.lab.service import service
from bootseer.errors import HostError
from tooling.go_program import GoProgram
from tooling.places import cache_dir

NAME: Final = "stargz"
PROGRAM: Final = GoProgram(NAME, "the stargz snapshotter", (1, 26), parent=Path(__file__).parent)


def touched_files(net: Network, reference: str) -> list[str]:
    """Return the files that the recorded starts of an image touched, in first-touch order.

    That is what stargz' optimiser finds out by watching a container. Raises `HostError`.
    """
    shown = bootseer(net.in_registry(), "hot", "show", reference, "--plain-http", "--json")
    files = json.loads(shown)["files"]
    return [file["path"] for file in sorted(files, key=lambda file: file["first_ms"])]


def converted(program: Path, layout: Path, first: Sequence[str] = ()) -> str:
    """Return an image with eStargz layers, in which the files of `first` come first, for skopeo.

    Made once (minutes) and kept: the files of another start of the same image are much the same.
    Raises `HostError`.
    """
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    key = hashlib.sha256(f"{manifest} {program.name} {bool(first)}".encode()).hexdigest()[:12]
    place = cache_dir() / "images" / f"stargz-{key}"
    if not place.exists():
        work = place.with_suffix(".new")
        shutil.rmtree(work, ignore_errors=True)
        _convert(program, layout, work, first)
        work.rename(place)
    return f"oci:{place}:demo"


def _convert(program: Path, layout: Path, target: Path, first: Sequence[str]) -> None:
    argv = [str(program), "convert", str(layout), str(target)]
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as paths:
        if first:
            paths.write("".join(f"{path}\n" for path in first))
            paths.flush()
            argv.append(paths.name)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"stargz: no image in its format: {done.stderr.strip()[-400:]}")


def push(image: str, net: Network, registry: Registry, name: str) -> str:
    """Push an image of skopeo's naming; return its reference. Raises `HostError`."""
    reference = f"{registry.host}/{name}:latest"
    target = ["--dest-tls-verify=false", image, f"docker://{reference}"]
    demo.skopeo(["copy", "--quiet", *target], net.in_registry())
    return reference


@contextlib.contextmanager
def fresh_node(
    program: Path, network: Network, directory: Path, registry_host: str
) -> Iterator[starts.Node]:
    """Run containerd and the stargz snapshotter below `directory` during the block."""
    directory.mkdir()
    root, socket, log = directory / "p", directory / "s.sock", directory / "stargz.log"
    (directory / "c").mkdir()
    argv = network.in_node([str(program), "serve", str(root), str(socket), registry_host])
    proxy = ProxySnapshotter(NAME, socket, root)
    with service(NAME, argv, log) as running:
        running.wait_until(socket.exists)
        with containerd(network, directory / "c", registry_host=registry_host, proxy=proxy) as made:
            yield starts.Node(made, running, root, socket, log)
