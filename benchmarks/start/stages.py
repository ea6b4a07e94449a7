"""The stages of starts, by the events that every program of a start has written by itself."""

from pathlib import Path

from benchmarks.start.ways import BASELINE, OURS, WAYS
from bootseer.cli.profile_page.render import render
from bootseer.events.reading import read_events
from bootseer.profile.document import report_document
from bootseer.profile.picture import picture_document
from bootseer.profile.report import Report, compare, make_report
from bootseer.profile.starts import Kind


def medians(events: Path) -> dict[str, float]:
    """Return the median seconds of each stage on a node, in the order in which they begin."""
    report = _reported(events)
    full = [kind for kind in report.kinds if kind.kind is Kind.FULL]
    return {row.stage: row.node.median for kind in full for row in kind.stages}


def page(events: Path) -> str:
    """Return a page of all starts; all of ours are compared with the full pull where both are."""
    present = [events / name for name in WAYS if (events / name).is_dir()]
    report = _reported(*present)
    pair = [events / way.name for way in (BASELINE, OURS)]
    both = all(directory.is_dir() for directory in pair)
    changes = compare(_reported(pair[0]), _reported(pair[1])) if both else []
    return render(report_document(report, changes), picture_document(report))


def _reported(*directories: Path) -> Report:
    return make_report(read_events(directories))
