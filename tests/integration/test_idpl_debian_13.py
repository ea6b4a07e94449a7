"""examples/idpl passes its own tests, with the PyTorch of Debian 13: in a tree of its own."""

from pathlib import Path

import pytest
from idpl_runs import EXAMPLE, lend, run_tests

from benchmarks.images.torch_root import entered

pytestmark = pytest.mark.containers


def test_with_debian_13s_pytorch(tmp_path: Path) -> None:
    lent, packages = lend(tmp_path / "lent"), Path(str(pytest.__file__)).parents[1]
    run_tests(lent, tmp_path, entered([EXAMPLE, lent, packages, tmp_path]))
