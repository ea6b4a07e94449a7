"""Rendered scenes as a set of pictures; rendered once, then kept in a file."""

import hashlib
import inspect
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from idpl.data.pictures import Sample
from idpl.scenes import camera, canvas, domains, render, sprites, street, surfaces
from idpl.scenes.domains import DOMAINS

Progress = Callable[[int, int], None]
"""Told how many of how many are done."""

_SOURCES = (camera, canvas, domains, render, sprites, street, surfaces)


def cache_directory() -> Path:
    """Return where rendered scenes are kept: `$IDPL_CACHE`, or the user's cache."""
    chosen = os.environ.get("IDPL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(chosen) if chosen else Path(base) / "idpl"


class RenderedPictures:
    """Scenes of one domain, in memory: 32 KB each at 64 x 128."""

    def __init__(
        self,
        domain: str,
        count: int,
        seed: int,
        size: tuple[int, int],
        progress: Progress = lambda _done, _all: None,
    ) -> None:
        self._domain, self._seed = domain, seed
        kept = cache_directory() / f"{_key(domain, count, seed, size)}.npz"
        found = _read(kept, count)
        if found is None:
            found = _render(domain, count, seed, size, progress)
            _keep(kept, found)
        self._pictures, self._labels, self.weather = found

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self._pictures[index], self._labels[index])

    def name(self, index: int) -> str:
        """Return domain, seed and number."""
        return f"{self._domain}-{self._seed}-{index}"


_Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]


def _render(
    domain: str, count: int, seed: int, size: tuple[int, int], progress: Progress
) -> _Arrays:
    scenes = []
    for index in range(count):
        scenes.append(render.render_scene(DOMAINS[domain], (seed, index), size))
        progress(index + 1, count)
    return (
        np.stack([scene.picture for scene in scenes]),
        np.stack([scene.label for scene in scenes]),
        np.array([scene.weather for scene in scenes]),
    )


def _key(domain: str, count: int, seed: int, size: tuple[int, int]) -> str:
    """Name what is kept by all that decides it, the painting code among it."""
    digest = hashlib.sha256(np.__version__.encode())
    for module in _SOURCES:
        digest.update(inspect.getsource(module).encode())
    return f"{domain}-{seed}-{count}-{size[0]}x{size[1]}-{digest.hexdigest()[:12]}"


def _read(kept: Path, count: int) -> _Arrays | None:
    try:
        with kept.open("rb") as opened, np.load(opened) as file:
            found = file["pictures"], file["labels"], file["weather"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # not there, or damaged: it is rendered again
    return found if all(len(array) == count for array in found) else None


def _keep(kept: Path, arrays: _Arrays) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".part", delete=False) as file:
            np.savez_compressed(file, pictures=arrays[0], labels=arrays[1], weather=arrays[2])
        Path(file.name).replace(kept)
    except OSError:
        return  # without a cache it works as well, only slower
