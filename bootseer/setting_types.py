"""Types of settings that Python has none for. Apart from the reader: few programs need that."""

from dataclasses import dataclass
from typing import NewType

Bytes = NewType("Bytes", int)
"""A size in bytes; a file may say `8MiB` or `2 GiB`."""

Loopback = NewType("Loopback", str)
"""`host:port` that only programs on this machine reach; empty for none."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both included."""

    low: float
    high: float
