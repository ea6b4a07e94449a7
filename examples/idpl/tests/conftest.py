"""For every test: one thread, and a cache of scenes of the session's own."""

from collections.abc import Iterator

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
