"""What a command may find in its roots besides what is really there."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from bootseer.errors import BootseerError
from depsnap.swap.workplace import Workplace
from depsnap.tree.entries import Kind

Changes: TypeAlias = Sequence[tuple[str, Kind]]


class ObjectionError(BootseerError):
    """What a command made of the ground it was given does not count. Nothing is in place."""


class Ground(Protocol):
    """Something laid under a command, as if it had made that itself."""

    def lay(self, work: Workplace) -> None:
        """Put it into the directories for what the command changes.

        Raises:
            BootseerError: it cannot be done.
        """
        ...

    def objection(self, work: Workplace, changes: Changes) -> str:
        """Return why the outcome is not that of the command alone; empty if it is.

        Raises:
            BootseerError: that cannot be found out.
        """
        ...
