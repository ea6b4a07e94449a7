"""What is said of a set of starts. Pure: events go in, a `Report` comes out, others draw it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bootseer.events.reading import Read
from bootseer.profile.clocks import Alignment, align
from bootseer.profile.durations import StartTimes, measure, ratio_to_median
from bootseer.profile.spans import Trouble, pair
from bootseer.profile.starts import Kind, starts_of


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds, over nodes and attempts."""

    median: float
    p95: float
    most: float


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage, over all nodes of all starts of a kind."""

    stage: str
    samples: int
    """Nodes that had it, once for each attempt."""
    node: Spread
    job: Spread
    """Over attempts: from the first node's beginning to the last one's end."""
    straggler: float
    """Slowest by median node; the median over attempts."""
    share: float
    """Of the time of all nodes. Stages overlap and hold others: the sum may be more than 1."""


@dataclass(frozen=True, slots=True)
class KindReport:
    """All starts of one kind."""

    kind: Kind
    starts: int
    node: Spread
    job: Spread
    straggler: float
    idle_share: float
    """Of the time of all nodes, in no stage."""
    stages: Sequence[StageRow]
    """In the order in which they usually begin."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is said."""

    starts: Sequence[StartTimes]
    alignments: Sequence[Alignment]
    """Of the starts, in the same order."""
    kinds: Sequence[KindReport]
    trouble: Trouble
    gpus: float | None
    """That all starts together held up; None where it is not known."""
    gpu_hours: float | None
    """That passed until all nodes of a start had ended their last stage."""
    notes: Sequence[str] = field(default_factory=tuple)
    """What else a reader should know."""


@dataclass(frozen=True, slots=True)
class Change:
    """A stage, or the whole start (`stage` is empty), of two reports."""

    kind: Kind
    stage: str
    before: Spread | None
    after: Spread | None

    @property
    def ratio(self) -> float | None:
        """Median before by median after: above 1, it became faster."""
        if self.before is None or self.after is None or self.after.median <= 0:
            return None
        return self.before.median / self.after.median


def make_report(read: Read, *, align_at: str = "", gpus_per_node: float | None = None) -> Report:
    """Return what the events say.

    `align_at`: a stage that all nodes leave at once; `gpus_per_node`: where events do not say it.
    """
    trouble = Trouble(broken=read.broken)
    found = starts_of(pair(read.events, trouble), trouble)
    aligned = [align(start, align_at) for start in found]
    times = [measure(start) for start, _ in aligned]
    gpus = [_gpus(one, gpus_per_node) for one in times]
    known = [(count, one.total) for count, one in zip(gpus, times, strict=True) if count]
    notes = [f"not read: {text}" for text in read.unreadable]
    if read.more:
        notes.append(f"only the first {len(read.events)} events were read")
    return Report(
        times,
        [alignment for _, alignment in aligned],
        [_of_kind(kind, own) for kind in Kind if (own := _only(times, kind))],
        trouble,
        sum(count for count, _ in known) if known else None,
        sum(count * seconds for count, seconds in known) / 3600 if known else None,
        notes,
    )


def compare(before: Report, after: Report) -> list[Change]:
    """Return every start and stage of both, whole starts first, in the order of `after`."""
    changes: list[Change] = []
    for kind in Kind:
        old, new = _kind(before, kind), _kind(after, kind)
        if old is None and new is None:
            continue
        whole = (old.job if old else None, new.job if new else None)
        changes.append(Change(kind, "", *whole))
        rows = {row.stage: row.node for row in old.stages} if old else {}
        later = {row.stage: row.node for row in new.stages} if new else {}
        names = dict.fromkeys([*later, *rows])
        changes += [Change(kind, name, rows.get(name), later.get(name)) for name in names]
    return changes


def _kind(report: Report, kind: Kind) -> KindReport | None:
    return next((one for one in report.kinds if one.kind is kind), None)


def _only(times: Iterable[StartTimes], kind: Kind) -> list[StartTimes]:
    return [one for one in times if one.start.kind is kind]


def _of_kind(kind: Kind, times: Sequence[StartTimes]) -> KindReport:
    nodes = [node for one in times for node in one.nodes]
    total = sum(node.total for node in nodes)
    order = _usual_order(times)
    return KindReport(
        kind,
        len(times),
        _spread([node.total for node in nodes]),
        _spread([one.total for one in times]),
        float(np.median([one.straggler for one in times])),
        sum(node.idle for node in nodes) / total if total > 0 else 0.0,
        [_row(stage, times, total) for stage in order],
    )


def _row(stage: str, times: Sequence[StartTimes], total: float) -> StageRow:
    by_start = [[node.stages[stage] for node in one.nodes if stage in node.stages] for one in times]
    values = [value for found in by_start for value in found]
    return StageRow(
        stage,
        len(values),
        _spread(values),
        _spread([one.stages[stage] for one in times if stage in one.stages]),
        float(np.median([ratio_to_median(found) for found in by_start if found])),
        sum(values) / total if total > 0 else 0.0,
    )


def _usual_order(times: Sequence[StartTimes]) -> list[str]:
    """Return the stages by when they begin, after the first of their start, at the median."""
    begins: defaultdict[str, list[int]] = defaultdict(list)
    for one in times:
        first = min((span.begin_ns for span in one.start.spans), default=0)
        for span in one.start.spans:
            if span.length_ns is not None:
                begins[span.stage].append(span.begin_ns - first)
    return sorted(begins, key=lambda stage: (float(np.median(begins[stage])), stage))


def _spread(values: Sequence[float]) -> Spread:
    median, p95 = np.percentile(values, (50, 95))
    return Spread(float(median), float(p95), max(values))


def _gpus(times: StartTimes, per_node: float | None) -> float | None:
    """Return how many GPUs a start holds up: as told, as events say, else one a rank."""
    if per_node is not None:
        return per_node * len(times.nodes)
    said: dict[str, float] = {}
    ranks: defaultdict[str, set[int]] = defaultdict(set)
    for span in times.start.spans:
        gpus = span.attributes.get("gpus")
        if isinstance(gpus, int | float) and 0 < gpus < 1 << 20:
            said[span.origin.node] = max(said.get(span.origin.node, 0.0), float(gpus))
        if span.origin.rank is not None:
            ranks[span.origin.node].add(span.origin.rank)
    counted = {node: float(len(found)) for node, found in ranks.items()} | said
    return sum(counted.values()) or None
