"""Under which conditions starts are measured: those under the same ones are compared. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

from benchmarks.start.place import Rates

DATA_NODES: Final = 4
RATE: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is started, and where. Rates are in megabits a second; 0: no limit."""

    job: str
    rate: float
    """Of a node's link."""
    data_rate: float
    """Of a DataNode's."""
    uplink: float
    """Of the link that registry, package index and NameNode share."""
    nodes: int
    data_nodes: int
    mirror: bool
    """There is a cache before the registry."""
    copies: int
    """Of the checkpoint's blocks."""

    @classmethod
    def of(
        cls,
        *,
        job: str | None,
        rate: float,
        data_rate: float | None,
        uplink: float,
        nodes: int,
        mirror: bool,
        copies: int,
    ) -> Self:
        """Return conditions with what is usual where nothing is said."""
        data = _usual_data_rate(rate) if data_rate is None else data_rate
        return cls(job or _usual_job(nodes), rate, data, uplink, nodes, DATA_NODES, mirror, copies)

    @property
    def rates(self) -> Rates:
        """The links."""
        return Rates(self.rate or None, self.data_rate or None, self.uplink or None)

    @property
    def described(self) -> str:
        """The title of a table."""
        return (
            f"{self.job}; nodes: {self.nodes}, link: {_link(self.rate)};"
            f" DataNodes: {self.data_nodes}, link: {_link(self.data_rate)};"
            f" registry: {_link(self.uplink)}{', a mirror' if self.mirror else ''}"
        )

    def options(self, faults: Collection[str]) -> list[str]:
        """Return the options of the command that measures under these conditions."""
        said = {
            "--nodes": (self.nodes, 1),
            "--rate": (self.rate, RATE),
            "--data-rate": (self.data_rate, _usual_data_rate(self.rate)),
            "--uplink": (self.uplink, 0),
            "--copies": (self.copies, usual_copies(faults)),
        }
        words = [(name, f"{value:g}") for name, (value, usual) in said.items() if value != usual]
        words += [("--job", self.job)] if self.job != _usual_job(self.nodes) else []
        words += [("--fault", fault) for fault in faults]
        return [word for pair in words for word in pair] + ["--mirror"] * self.mirror


def usual_copies(faults: Collection[str]) -> int:
    """Return how many copies blocks have: a DataNode that dies must not take the only ones."""
    return 2 if faults else 1


def _usual_job(nodes: int) -> str:
    """Return a job that weighs little where nodes share the machine's processors."""
    return "light" if nodes > 1 else "idpl"


def _usual_data_rate(rate: float) -> float:
    """Return what all DataNodes together need to fill a node's link."""
    return rate / DATA_NODES


def _link(rate: float) -> str:
    return f"{rate:g} Mbit/s" if rate else "no limit"
