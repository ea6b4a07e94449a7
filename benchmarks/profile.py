"""`scripts/bench profile`: a report on the start of thousands of nodes, from events to page."""

import tempfile
import time
from pathlib import Path

import click

from benchmarks.figures import Figure, emit
from benchmarks.measure.made_starts import Made, made_events
from bootseer.cli.profile_page.render import render
from bootseer.events.line import encode
from bootseer.events.reading import read_events
from bootseer.profile.document import report_document
from bootseer.profile.picture import picture_document
from bootseer.profile.report import make_report

_GOAL_S = 10.0


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option("--nodes", default=5000, show_default=True)
def main(json_file: Path | None, nodes: int) -> None:
    """Measure `bootseer profile report --html` on events of a made start with twenty stages."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "events.jsonl"
        with path.open("wb") as file:
            file.writelines(map(encode, made_events(Made(nodes, skew_ns=10**8, slow=1.5))))
        begun = time.perf_counter()
        read = read_events([path])
        after_reading = time.perf_counter()
        report = make_report(read)
        document = report_document(report)
        analysed = time.perf_counter()
        page = render(document, picture_document(report))
        done = time.perf_counter()
        size = path.stat().st_size
    figures = [
        Figure(f"report on {nodes} nodes x 20 stages", done - begun, "s", _GOAL_S),
        Figure("of that, reading", after_reading - begun, "s"),
        Figure("of that, analysis", analysed - after_reading, "s"),
        Figure("of that, the page", done - analysed, "s"),
        Figure("events", size / 1e6, "MB"),
        Figure("page", len(page) / 1e6, "MB"),
    ]
    emit("Report on a made start", figures, json_file)


if __name__ == "__main__":
    main()
