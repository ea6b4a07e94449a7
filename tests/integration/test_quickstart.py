"""docs/quickstart-node.md: its commands, as they stand there, on a node of a test's own."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_image import small_image
from whole import whole

from benchmarks.lab.workdir import work_directory
from tooling.places import REPOSITORY

pytestmark = pytest.mark.containers

PAGE = REPOSITORY / "docs" / "quickstart-node.md"
WITH_SETTINGS = (
    *("deps run", "deps ls", "hdfs mount", "hdfs stat", "hdfs umount"),
    *("hot ls", "image index", "image inspect"),
)


def blocks(kind: str) -> list[str]:
    """Return the page's blocks of commands; `kind` is what stands behind the three backticks."""
    found = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found


@dataclass
class Reader:
    """Somebody who types what he reads."""

    directory: Path
    places: dict[str, str]
    """What stands for what on this machine."""

    def types(self, text: str) -> str:
        """Run commands, until one fails; return what was printed."""
        for there, here in self.places.items():
            text = text.replace(there, here)
        variables = {"PATH": f"{self.directory / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"}
        variables |= {"HOME": str(self.directory), "LANG": "C.UTF-8"}
        done = subprocess.run(
            ["sh", "-eux", "-c", text],
            cwd=self.directory,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def wheel(directory: Path) -> Path:
    """Make a wheel with one module."""
    path = directory / "greeting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("greeting.py", "TEXT = 'hello'\n")
        info = "greeting-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def reader() -> Iterator[Reader]:
    with work_directory() as directory:
        settings = f"hot:\n  quiet: 1\ndeps:\n  store: file://{directory}/deps\n"
        settings += f"hdfs:\n  spool: {directory}/spool\n"
        with whole(directory, settings) as node:
            yield made_reader(directory, node)


def made_reader(directory: Path, node) -> Reader:  # type: ignore[no-untyped-def]
    here = directory / "reader"
    (here / "bin").mkdir(parents=True)
    (here / "requirements.txt").write_text(f"{wheel(here)}\n")
    (here / "model.bin").write_bytes(bytes(range(256)) * 65536)
    config, run = node.daemon.config, f"exec {sys.executable} -m bootseer"
    cases = "\n".join(
        f'"{words}") shift 2; {run} {words} --config {config} "$@" ;;' for words in WITH_SETTINGS
    )
    program(
        here / "bin/bootseer",
        f'export PYTHONPATH={REPOSITORY}\ncase "$1 ${{2-}}" in\n{cases}\n'
        f'"status ") {run} status --config {config} ;;\n*) {run} "$@" ;;\nesac',
    )
    engine = node.containerd
    ctr = f'{engine.bin / "ctr"} --address {engine.socket} -n {engine.namespace} "$@"'
    program(here / "bin/ctr", f"exec {ctr}")
    image = small_image(directory / "image", node.registry.host)
    return Reader(
        here,
        {
            "registry.example/train:1": image.reference,
            "/mnt/checkpoints": str(here / "mnt"),
            "/var/tmp/volume": str(here / "volume"),
            "--daemon": f"--daemon --log-file {here / 'hdfs.log'}",
        },
    )


def test_the_quick_start_does_what_it_says(reader: Reader) -> None:
    said = reader.types("".join(blocks("sh")))
    assert (reader.directory / "volume" / "model.bin").exists()
    assert not (reader.directory / "mnt" / "model.bin").exists()
    assert len(list(reader.directory.glob("job/lib/*/site-packages/greeting.py"))) == 1
    assert said.count("Successfully installed greeting-1.0") == 1
    assert re.search(r"^data\b", said, re.MULTILINE) or "data" in said


def test_what_it_installs_with_takes_these_options() -> None:
    for line in "".join(blocks("sh install")).splitlines():
        words = line.partition("#")[0].split()
        assert words[:2] == ["sudo", "scripts/bootstrap-node"]
        command = [str(REPOSITORY / words[1]), *words[2:], "--help"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
