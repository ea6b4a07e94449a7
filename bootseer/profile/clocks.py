"""Clocks of nodes set against each other by what happened on all of them at once. Pure.

Nodes leave a barrier or a first collective operation together. A stage whose `shared` attribute is
true says that its end is such a moment; what a node's clock said then, less what the median clock
said, is how far it is off. The error is what the network needs to tell them: milliseconds.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bootseer.profile.starts import Start

SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Alignment:
    """How far the clocks of a start's nodes are off."""

    stage: str = ""
    """At whose end the clocks were compared; empty: they were not."""
    offsets_ns: Mapping[str, int] = field(default_factory=dict)
    """By node: to be taken away from what its clock said. Nodes without the stage are missing."""

    @property
    def worst_ns(self) -> int:
        """The largest difference from the median clock."""
        return max((abs(offset) for offset in self.offsets_ns.values()), default=0)


def align(start: Start, stage: str = "") -> tuple[Start, Alignment]:
    """Return a start in the time of its median clock.

    `stage`: one whose end is taken for a shared moment; else the first that says so of itself.
    """
    moments = _moments(start, stage)
    if not moments:
        return start, Alignment()
    name, ends = moments
    first = min(ends.values())  # a float of the whole time is too coarse
    middle = first + int(statistics.median(end - first for end in ends.values()))
    offsets = {node: end - middle for node, end in ends.items()}
    spans = tuple(
        replace(span, begin_ns=span.begin_ns - offset)
        if (offset := offsets.get(span.origin.node, 0))
        else span
        for span in start.spans
    )
    return replace(start, spans=spans), Alignment(name, offsets)


def _moments(start: Start, stage: str) -> tuple[str, dict[str, int]] | None:
    """Return the shared stage that most nodes have, and its first end by node."""
    ends: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for span in start.spans:
        wanted = span.stage == stage if stage else span.attributes.get(SHARED) is True
        if wanted and span.length_ns is not None:
            of_stage = ends[span.stage]
            known = of_stage.get(span.origin.node, span.end_ns)
            of_stage[span.origin.node] = min(known, span.end_ns)
    several = {name: found for name, found in ends.items() if len(found) > 1}
    if not several:
        return None
    # The earliest of them: clocks drift, and the start is what is looked at.
    best = max(several, key=lambda name: (len(several[name]), -min(several[name].values())))
    return best, several[best]
