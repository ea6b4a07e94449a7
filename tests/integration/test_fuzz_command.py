"""`scripts/fuzz`: guided by coverage, within its memory, for as long as it is told."""

import os
import subprocess
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


def test_an_input_is_run_alone(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"11 path=a/b\n")
    assert fuzz(tmp_path, "pax", "--replay", str(file)).returncode == 0


def test_every_target_is_listed(tmp_path: Path) -> None:
    listed = fuzz(tmp_path, "--list").stdout
    assert {"tar", "zstd", "index", "hosts", "stripes"} <= {
        line.split()[0] for line in listed.splitlines()
    }
