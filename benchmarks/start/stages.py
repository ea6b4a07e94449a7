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
    """Return a page of all starts. All of ours are compared with the full pull where both are, or
    with the one fault that came to pass.
    """
    present = [path.name for path in events.iterdir() if path.is_dir()]
    faulty = sorted(name for name in present if name not in WAYS)
    usual = [name for name in WAYS if name in present]
    report = _reported(*(events / name for name in (*usual, *faulty)))
    pair = [OURS.name, *faulty] if len(faulty) == 1 else [BASELINE.name, OURS.name]
    both = all(name in present for name in pair)
    changes = compare(*(_reported(events / name) for name in pair)) if both else []
    return render(report_document(report, changes), picture_document(report))


def _reported(*directories: Path) -> Report:
    return make_report(read_events(directories))
