"""How install steps are treated."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bootseer.events.stages import SILENT, Stages
from depsnap.key.compose import KeyRequest
from depsnap.pool import ignore
from depsnap.restore.cache import TreeCache
from depsnap.snapshots.places import Place

Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""From what is done, and its bytes, to who hears of more bytes that are."""


def unseen(_what: str, _size: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show nothing."""
    return nullcontext(ignore)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user or the configuration says, but for the step itself."""

    store: Place
    wait: float = 600.0
    """Seconds to wait for another process of this machine that works on the same roots, and for
    another node that makes the snapshot."""
    silence: float = 30.0
    """Seconds without a sign of life after which a node that makes a snapshot is not waited for."""
    fresh: float = 86_400.0
    """Seconds after which a step that is not pinned is run again."""
    workers: int = 1
    cache: str = ""
    """Directory of trees that this node has restored; empty: none is kept."""
    capture: tuple[str, ...] = ("overlay", "user overlay", "scan")
    """Ways to capture, the first that is allowed is taken."""
    on_nearest: bool = False
    """Run a step for which there is no snapshot on the nearest one, where that can be proved."""
    compile: bool = True
    """Compile Python sources that the step left uncompiled."""
    mount: bool = False
    """Have large directories mounted by the node's daemon instead of unpacking them."""
    daemon: str = ""
    """Its socket."""
    digest: str = ""
    """Of the head of the only snapshot that counts; empty: the newest does."""
    check: str = ""
    """A line for the shell that has to succeed in what was restored; empty: none."""

    @property
    def tree_cache(self) -> TreeCache | None:
        """The trees that this node has restored; None: none is kept."""
        return TreeCache(Path(self.cache)) if self.cache else None


@dataclass(frozen=True, slots=True)
class Job:
    """An install step with a name."""

    name: str
    step: KeyRequest
    settings: Settings
    stages: Stages = SILENT
    """Hears of what is done when."""
    progress: Progress = unseen
    """Shows how far something is."""
