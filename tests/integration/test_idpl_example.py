"""examples/idpl passes its own tests, with the PyTorch of this Debian."""

from pathlib import Path

from idpl_runs import lend, run_tests


def test_with_this_machines_pytorch(tmp_path: Path) -> None:
    run_tests(lend(tmp_path / "lent"), tmp_path, [])
