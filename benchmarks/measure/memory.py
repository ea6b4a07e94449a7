"""The server's memory with many layers and many files."""

import io
import random
import re
import subprocess
import tarfile
from pathlib import Path
from typing import IO

from benchmarks.figures import Figure
from benchmarks.images.oci_layout import OciLayout
from benchmarks.lab.starts import Node
from tooling.progress import doing


def many_layers(directory: Path, *, layers: int, files: int) -> Path:
    """Make an OCI layout `many` of so many layers with so many small files in each."""
    layout = OciLayout(directory)
    with doing(f"an image of {layers} layers and {layers * files} files"):
        for number in range(layers):
            layout.add_layer(f"layer {number}", _Files(number, files).write)
    layout.finish(
        name="many", architecture="amd64", config={"Cmd": ["/x"]}, created="2026-01-01T00:00:00Z"
    )
    return layout.root


class _Files:
    """One layer of small files."""

    def __init__(self, number: int, files: int) -> None:
        self._number = number
        self._files = files

    def write(self, target: IO[bytes]) -> int:
        chance = random.Random(self._number)
        counted = io.BytesIO()
        with tarfile.open(fileobj=counted, mode="w") as tar:
            for file in range(self._files):
                content = chance.randbytes(chance.randrange(1, 3000))
                name = f"usr/lib/package-{file % 97}/layer-{self._number}-file-{file}.py"
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return target.write(counted.getvalue())


def resident(pid: int) -> float:
    """Return a process' resident memory in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def family(pid: int) -> dict[str, float]:
    """Return the resident memory of a keeper, its server and the server's workers, in MB."""
    server = children(pid)[0]
    workers = children(server)
    return {
        "keeper": resident(pid),
        "server": resident(server),
        "workers": sum(map(resident, workers)),
    }


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def measure(node: Node, keeper: int, tree: Path, *, layers: int) -> list[Figure]:
    """Read something of every layer of a mounted image, then look at the processes."""
    with doing("reading from every layer"):
        subprocess.run(["find", str(tree), "-xdev"], stdout=subprocess.DEVNULL, check=True)
        for number in range(layers):
            path = tree / f"usr/lib/package-{number % 97}/layer-{number}-file-{number % 97}.py"
            path.read_bytes()
    found = family(keeper)
    return [
        Figure("server memory, 50 layers and 200,000 files", found["server"], "MB", 150.0),
        Figure("keeper memory", found["keeper"], "MB"),
        Figure("worker processes' memory", found["workers"], "MB"),
    ]
