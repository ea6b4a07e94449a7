"""`scripts/bootstrap-node` in a directory, and containerd itself reading what it wrote there."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bootseer.doctor.findings import State
from bootseer.doctor.host import check_containerd
from tooling import containerd
from tooling.places import REPOSITORY

pytestmark = pytest.mark.containers


def bootstrap(*arguments: str) -> str:
    command = [str(REPOSITORY / "scripts/bootstrap-node"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr


def listing(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): "" if path.is_symlink() else path.read_text()
        for path in sorted((root / "etc").rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_node_is_installed_upgraded_in_place_and_cleared(tmp_path: Path) -> None:
    main = tmp_path / "etc/containerd/config.toml"
    main.parent.mkdir(parents=True)
    main.write_text('version = 3\noom_score = -7\n[plugins."x"]\n  y = 1\n')
    before = listing(tmp_path)
    where = ["--root", str(tmp_path), "--containerd", "2"]

    assert "would be written" in bootstrap(*where, "--dry-run")
    assert listing(tmp_path) == before

    assert "written   /opt/bootseer/current" in bootstrap(*where)
    installed = listing(tmp_path)
    assert {"etc/bootseer/bootseer.yaml", "etc/containerd/conf.d/bootseer.toml"} <= set(installed)
    assert tomllib.loads(main.read_text())["oom_score"] == -7
    python = tmp_path / "opt/bootseer/current/bin/python3"
    check = "import snapshotter, bootseer.config, pyfuse3, grpc; print(bootseer.__file__)"
    answer = subprocess.run(
        [python, "-P", "-c", check], cwd="/", capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith(str(tmp_path.resolve()))

    again = bootstrap(*where)
    assert "written" not in again
    assert listing(tmp_path) == installed

    (tmp_path / "etc/bootseer/bootseer.yaml").write_text("log: {level: debug}\n")
    assert "kept      /etc/bootseer/bootseer.yaml" in bootstrap(*where)

    bootstrap(*where, "--uninstall")
    assert listing(tmp_path) == before | {"etc/bootseer/bootseer.yaml": "log: {level: debug}\n"}
    assert not (tmp_path / "opt/bootseer").exists()


def effective(program: str | Path, config: Path) -> dict[str, Any]:
    """Return what containerd makes of a configuration file and its imports."""
    command = [str(program), "--config", str(config), "config", "dump"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return tomllib.loads(answer.stdout)


def installed_config(root: Path, major: str, main: str) -> Path:
    """Install beside a main file and return it, its imports turned to where they lie here."""
    path = root / "etc/containerd/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(main)
    bootstrap("--root", str(root), "--containerd", major)
    path.write_text(path.read_text().replace('"/etc/', f'"{root}/etc/'))
    return path


def test_containerd_2_reads_what_was_installed_and_keeps_its_own_settings(tmp_path: Path) -> None:
    directory = containerd.find()
    assert directory is not None
    images = "io.containerd.cri.v1.images"
    config = installed_config(
        tmp_path, "2", f"version = 3\n[plugins.'{images}']\n  max_concurrent_downloads = 7\n"
    )
    found = effective(directory / "containerd", config)
    cri = found["plugins"][images]
    assert (cri["snapshotter"], cri["max_concurrent_downloads"]) == ("bootseer", 7)
    assert cri["disable_snapshot_annotations"] is False
    proxy = found["proxy_plugins"]["bootseer"]
    assert proxy["exports"]["enable_remote_snapshot_annotations"] == "true"
    unpack = found["plugins"]["io.containerd.transfer.v1.local"]["unpack_config"]
    assert "bootseer" in [entry["snapshotter"] for entry in unpack]


def test_doctor_finds_the_plugin_in_a_file_that_containerds_own_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = containerd.find()
    assert directory is not None
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    config = installed_config(tmp_path, "2", "version = 3\n")
    findings = check_containerd("/run/bootseer/snapshotter.sock", "bootseer", config)
    assert [finding.state for finding in findings] == [State.OK] * 2, findings

    config.write_text("version = 3\nroot = [\n")
    assert check_containerd("/s", "bootseer", config)[-1].state is State.FAIL


def test_environment_before_the_current_one_stays_for_daemons_that_run(tmp_path: Path) -> None:
    where = ["--root", str(tmp_path), "--containerd", "2"]
    bootstrap(*where)
    home = tmp_path / "opt/bootseer"
    current = home / (home / "current").readlink()
    for name in ("aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        (home / name).mkdir()
        (home / name / ".complete").touch()
    (home / "current").unlink()
    (home / "current").symlink_to("bbbbbbbbbbbb")
    shutil.rmtree(current)
    bootstrap(*where)
    assert (home / "current").resolve() == current.resolve()
    assert not (home / "aaaaaaaaaaaa").exists()
    assert (home / "bbbbbbbbbbbb").exists()
    assert os.access(current / "bin/python3", os.X_OK)
