"""What somebody who asks may have. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from snapshotter.dependencies.peers import RefusedError
from snapshotter.dependencies.requests import MountRequest

ANNOTATION: Final = "bootseer.deps"
"""Of a pod, or label of a container: names of jobs whose snapshots it may mount, as patterns,
separated by commas."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one who asks may have."""

    patterns: tuple[str, ...]
    """Names of jobs; `*` stands for any characters."""
    any_store: bool = False
    """From the store that he names; otherwise from the node's, whatever he names."""
    container: str = ""
    """Whose it is; empty: the node's."""

    def check(self, asked: MountRequest) -> None:
        """Raise `RefusedError` unless it may be had."""
        if not any(fnmatchcase(asked.name, pattern) for pattern in self.patterns):
            raise RefusedError(
                f"container {self.container} may not mount snapshots of {asked.name}",
                hint=f"the annotation {ANNOTATION} of its pod names those that it may",
            )


NODE: Final = Grant(("*",), any_store=True)
"""Of root on the node, who may connect to the daemon's own socket."""


def granted(container: str, annotations: Mapping[str, str]) -> Grant:
    """Return what a container may have, by what its pod's annotations say."""
    names = annotations.get(ANNOTATION, "").split(",")
    return Grant(tuple(name.strip() for name in names if name.strip()), container=container)
