"""Metrics as text: Prometheus' exposition format, version 0.0.4. Pure.

    # HELP name What it is.
    # TYPE name counter
    name{label="value"} 17

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of an HTTP answer with such text."""
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Kind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    """Only grows, and begins at 0 when the server starts. Its name ends in `_total`."""
    GAUGE = "gauge"
    """Is what it is at the moment."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: one sample for each set of labels."""

    name: str
    kind: Kind
    help: str
    """One sentence."""
    samples: Sequence[Sample]

    def __post_init__(self) -> None:
        """Refuse names that the format does not have: a bug."""
        labels = {label for sample in self.samples for label in sample.labels}
        if not all(_NAME.fullmatch(name) for name in (self.name, *labels)):
            raise ValueError(f"not a metric: {self.name} {sorted(labels)}")
        if (self.kind is Kind.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"{self.name} must not be a {self.kind}")


def counter(name: str, text: str, *samples: Sample) -> Family:
    """Return a metric that only grows."""
    return Family(name, Kind.COUNTER, text, samples)


def gauge(name: str, text: str, *samples: Sample) -> Family:
    """Return a metric that is what it is at the moment."""
    return Family(name, Kind.GAUGE, text, samples)


def render(families: Iterable[Family]) -> str:
    """Return the text of these metrics."""
    return "".join(line + "\n" for family in families for line in _lines(family))


def _lines(family: Family) -> list[str]:
    text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    head = [f"# HELP {family.name} {text}", f"# TYPE {family.name} {family.kind}"]
    return head + [f"{family.name}{_labels(one)} {_number(one.value)}" for one in family.samples]


def _labels(sample: Sample) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in sample.labels.items()]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(value)
