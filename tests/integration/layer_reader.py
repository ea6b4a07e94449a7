"""A process that reads a layer's files when it is told to, as a container of it does."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trouble_image import TroubleImage
from whole import Bootseer

_PROGRAM = """
import hashlib, sys
for line in sys.stdin:
    digest = hashlib.sha256()
    for name in ("big", "one", "two"):
        with open(f"{sys.argv[1]}/data/{name}", "rb") as file:
            digest.update(file.read())
    print(digest.hexdigest(), flush=True)
"""


class LayerReader:
    """The running process. `right` is what `read` returns where every byte is as it should be."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def read(self, times: int = 1) -> list[str]:
        """Have all files read so many times; return their hashes, "" once it failed."""
        self.begin(times)
        return self.results(times)

    def begin(self, times: int) -> None:
        """Have all files read so many times, in the background."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n" * times)
        self._process.stdin.flush()

    def results(self, times: int) -> list[str]:
        """Wait for what was begun."""
        assert self._process.stdout is not None
        return [self._process.stdout.readline().strip() for _ in range(times)]


@contextmanager
def layer_reader(tree: Path, prefix: Sequence[str] = ()) -> Iterator[LayerReader]:
    """Run a reader of a mounted layer during the block; at its end it must not have failed.

    `prefix`: what the process is started by.
    """
    pipe = subprocess.PIPE
    argv = [*prefix, sys.executable, "-c", _PROGRAM, str(tree)]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        try:
            yield LayerReader(running)
            _, said = running.communicate(timeout=60)
            assert running.returncode == 0, said
        finally:
            running.kill()


def right(image: TroubleImage) -> str:
    """Return the hash of an image's data files."""
    return image.sums.split()[0]


def data_tree(daemon: Bootseer, image: TroubleImage) -> Path:
    """Return where an image's data layer is mounted: it is pulled and was looked at."""
    found = {layer["digest"]: layer["name"] for layer in daemon.status()["layers"]}
    return daemon.root / "l" / str(found[image.layers[1]]) / "fs"
