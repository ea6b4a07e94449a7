"""A job that is started, as the benchmark wants it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

INDEX: Final = "{index}"
"""Stands for the index' address in `Workload.install`."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of this machine in the container."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """An image, packages, a checkpoint, and what is run. Paths are the container's if not `Path`s.

    It says `<seconds since 1970> first_step done` when the first step is over, and has by then or
    soon after written the step's losses as a line of JSON into `metrics.jsonl` in `out`.
    """

    name: str
    layout: str
    """The image, as skopeo names it."""
    wheels: Path
    install: Sequence[str]
    """Command that installs the packages from an index."""
    modules: Sequence[str]
    """What is imported of them."""
    command: Sequence[str]
    """Module that trains, and its arguments."""
    out: str
    """Where it writes; what is in `checkpoint` is found at `checkpoints` in there."""
    checkpoint: Path
    client: str
    """Directory of the packages that make up Bootseer."""
    python: str = "python3"
    roots: Sequence[str] = ()
    """What the installation changes, where its Python does not say."""
    mounts: Sequence[Mount] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
