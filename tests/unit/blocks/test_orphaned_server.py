"""A server whose keeper ended while it was being started."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_server_that_begins_after_its_keeper_ended_ends_too(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    devices = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
    session, device = devices
    argv = [sys.executable, "-m", "snapshotter.daemon", "--config", str(tmp_path / "none.yaml")]
    argv += ["--handover", f"{session}:{device}:fresh", "--keeper", str(dead.pid)]
    done = subprocess.run(argv, pass_fds=devices, timeout=60, capture_output=True, check=False)
    for number in devices:
        os.close(number)
    assert done.returncode == 1
    assert done.stderr == b"", "it did not even look for its configuration"
