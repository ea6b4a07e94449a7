"""For every test: one thread, and a cache of scenes of the session's own."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny import Tiny, tiny_sets


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    patch.setenv("IDPL_CACHE", str(tmp_path_factory.mktemp("scenes")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def tiny(_alone: None) -> Tiny:
    """A configuration and pictures with which a step takes a few hundredths of a second."""
    return tiny_sets()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what needs Pillow where it is not installed (Debian 13's tree in our tests)."""
    lacking = importlib.util.find_spec("PIL") is None
    return True if lacking and collection_path.name == "test_folders.py" else None
