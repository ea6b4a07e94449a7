"""Disks that are full, and root directories that cannot be used."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_disk import mounted, small_disk
from trouble_image import SUMS, new_directories, publish_indexes, trouble_image
from whole import Bootseer, whole

from benchmarks.lab.service import service
from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError

pytestmark = pytest.mark.containers


def fill(root: Path) -> Path:
    """Take all the space that there is; return the file that has it."""
    filler = root / "filler"
    done = subprocess.run(
        ["dd", "if=/dev/zero", f"of={filler}", "bs=4k", "conv=fsync"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No space left" in done.stderr
    return filler


def drop_caches() -> None:
    Path("/proc/sys/vm/drop_caches").write_text("1")


def local_chunks(daemon: Bootseer, layer: str) -> int:
    found = [each for each in daemon.status()["layers"] if each["digest"] == layer]
    return int(found[0]["chunks_local"]) if found else 0


def test_a_full_disk_keeps_nothing_new_and_fails_no_read() -> None:
    with (
        work_directory() as directory,
        small_disk(directory, 96) as root,
        whole(directory) as node,
    ):
        image, plain = trouble_image(node, "big", megabytes=12), trouble_image(node, "plain")
        publish_indexes(node, image)
        node.pull(image.reference)
        node.run(image.reference, "ls", "/data")
        node.run(image.reference, "sha256sum", "/data/one")
        # A container needs room of its own: it is started before the disk is full.
        script = f"echo begun; read go; for i in 1 2; do {SUMS}; done"
        with node.start(image.reference, "sh", "-c", script, feed=True) as running:
            assert running.stdout is not None
            assert running.stdin is not None
            assert any(line == "begun\n" for line in running.stdout)
            filler = fill(root)
            before = local_chunks(node.daemon, image.layers[1])
            output, _ = running.communicate("go\n")
        assert output == image.sums * 2
        said = node.daemon.log()
        assert said.count("cache.disk_refuses") == 1
        assert "flush_failed" not in said
        assert "block.io_error" not in said

        with pytest.raises(HostError, match=r"(?i)no space left|disk is full"):
            node.pull(plain.reference)
        assert new_directories(root) == []
        assert not any("/snapshots/new-" in mount for mount in node.daemon.mounts())

        node.kill_server()
        filler.unlink()
        drop_caches()
        assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
        assert local_chunks(node.daemon, image.layers[1]) > before
        node.pull(plain.reference)
        assert node.run(plain.reference, "sh", "-c", SUMS) == plain.sums


def test_a_root_on_tmpfs_is_served_over_loop_devices() -> None:
    with (
        work_directory() as directory,
        mounted(directory / "b/r", "-t", "tmpfs", "tmpfs"),
        whole(directory) as node,
    ):
        image = trouble_image(node, "tmpfs")
        publish_indexes(node, image)
        node.pull(image.reference)
        assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        assert any(f"{node.daemon.root}/l/" in line and "/dev/loop" in line for line in mounts)


def config_of(directory: Path, root: Path, more: str = "") -> Path:
    config = directory / "bootseer.yaml"
    run = directory / "run"
    own = f"root: {root}\nrun_dir: {run}\naddress: {run}/s.sock\ncontainerd: ''\n"
    config.write_text(own + more)
    return config


def serve(config: Path) -> tuple[int, str]:
    """Start a daemon that cannot start; return its exit code and what it said."""
    argv = [sys.executable, "-m", "bootseer", "snapshotter", "serve", "--config", str(config)]
    log = config.parent / "log"
    with service("bootseer", argv, log) as running:
        code = running.process.wait(30)
    return code, log.read_text()


def doctor(config: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code of `bootseer doctor` and its findings by name."""
    argv = [sys.executable, "-m", "bootseer", "doctor", "--config", str(config), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    findings = json.loads(done.stdout)
    return done.returncode, {finding["name"]: finding for finding in findings}


@pytest.fixture
def directory() -> Iterator[Path]:
    with work_directory() as made:
        yield made


def test_a_read_only_root_is_refused_with_path_and_remedy(directory: Path) -> None:
    root = directory / "r"
    root.mkdir()
    with mounted(root, "--bind", str(root)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(root)], check=True)
        config = config_of(directory, root)
        code, said = serve(config)
        assert code == HostError.exit_code
        assert f"{root} cannot be used: Read-only file system" in said
        assert "hint: make it writable" in said
        assert "Traceback" not in said
        code, findings = doctor(config)
        assert code == HostError.exit_code
        assert findings["root"]["state"] == "fail"


def test_a_file_in_the_place_of_the_root_is_refused(directory: Path) -> None:
    root = directory / "r"
    root.write_text("")
    code, said = serve(config_of(directory, root))
    assert code == HostError.exit_code
    assert f"{root} cannot be a directory" in said
    code, said = serve(config_of(directory, root / "below"))
    assert code == HostError.exit_code
    assert "cannot be a directory" in said


def test_files_cannot_be_mounted_from_tmpfs_and_who_asks_for_it_is_told(directory: Path) -> None:
    with mounted(directory / "r", "-t", "tmpfs", "tmpfs") as root:
        config = config_of(directory, root, "snapshotter: {mount: file}\n")
        code, said = serve(config)
        assert code == 78
        assert said.count("daemon.failed") == 1
        assert f"cannot be mounted from files in {root}" in said
        assert "set `snapshotter.mount` to auto or loop" in said
        assert str(root / "blocks") not in Path("/proc/self/mountinfo").read_text()
