"""`scripts/fuzz`: guided by coverage, within its memory, for as long as it is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tooling.places import REPOSITORY

pytestmark = pytest.mark.containers  # it makes an environment of its own, which takes a network


def fuzz(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REPOSITORY / "scripts/fuzz", *arguments],
        env=os.environ | {"BOOTSEER_FUZZ": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_target_runs_for_its_time_and_learns_inputs(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "pax", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert "stat::peak_rss_mb" in done.stderr
    learned = list((tmp_path / "pax/corpus").iterdir())
    assert len(learned) > len([one for one in learned if one.name.startswith("seed-")])


HOG = """
import sys
from tooling.fuzz.engine import fuzz
from tooling.fuzz.target import Target

def run(data):
    return bytearray(600 << 20) if data[:1] == b"m" else None

fuzz(Target("hog", run, lambda: [b"a"]), ["-max_total_time=60", f"-artifact_prefix={sys.argv[1]}/"])
"""


def test_a_parser_that_takes_more_memory_than_it_may_is_found(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tooling.setup", "--for", "fuzz", "--print-venv"]
    environment = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    python = Path(environment.stdout.strip()) / "bin/python"
    done = subprocess.run(
        [python, "-c", HOG, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "MemoryError" in done.stdout + done.stderr
    (found,) = tmp_path.glob("crash-*")
    assert found.read_bytes().startswith(b"m")


def test_an_input_is_run_alone(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"11 path=a/b\n")
    assert fuzz(tmp_path, "pax", "--replay", str(file)).returncode == 0


def test_every_target_is_listed(tmp_path: Path) -> None:
    listed = fuzz(tmp_path, "--list").stdout
    assert {"tar", "zstd", "index", "hosts", "stripes"} <= {
        line.split()[0] for line in listed.splitlines()
    }
