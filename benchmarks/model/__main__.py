"""`scripts/bench model`: starts of one to 5,000 nodes, simulated, and the page about them.

Costs were measured in the laboratory, the data centre is assumed (`laboratory.yaml`, `site.yaml`).
The model is compared with the figures of other benchmarks in `--results`.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.figures import Figure, emit
from benchmarks.model.check import Check, checks
from benchmarks.model.document import model_document
from benchmarks.model.nodes_check import node_checks
from benchmarks.model.page.render import render
from benchmarks.model.parameters import parameters
from benchmarks.model.sweep import LINES, SIZES, line_document, sweep
from tooling.places import REPOSITORY
from tooling.progress import doing

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--json", "json_file", type=_FILE, help="Write figures here.")
@click.option("--html", "html_file", type=_FILE, help="Write the page here.")
@click.option("--nodes", default=SIZES[-1], show_default=True, help="The largest job.")
@click.option("--checks", "only", is_flag=True, help="Only say how far off the model is.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=REPOSITORY / "docs" / "results",
    help="Where figures of other benchmarks are; docs/results by default.",
)
def main(
    json_file: Path | None, html_file: Path | None, nodes: int, only: bool, results: Path
) -> None:
    """Simulate starts of jobs of all sizes, in all ways, and say how far off the model is."""
    site = parameters("site")
    sizes = [*(size for size in SIZES if size < nodes), nodes]
    lines = []
    for line in () if only else LINES:
        with doing(f"({line.name}) {line.title}, by {line.supply}"):
            lines.append(line_document(line, sweep(site, line, sizes), site.node.gpus))
    found = all_checks(results)
    made = figures(lines, found)
    emit("Starts by model", made, None)
    if json_file:
        document = {"figures": [asdict(figure) for figure in made], "lines": lines}
        json_file.write_text(json.dumps(document, indent=1) + "\n")
    if html_file:
        html_file.write_text(render(model_document(lines, found)))


def all_checks(results: Path) -> list[Check]:
    """Return every comparison that the figures below `results` allow."""
    laboratory = parameters("laboratory")
    node, hdfs = laboratory.node, laboratory.hdfs
    several = node_checks(results, cores=node.cores_shared, data_share=hdfs.data_share)
    return [*checks(laboratory, results), *several]


def figures(lines: list[dict[str, Any]], found: list[Check]) -> list[Figure]:
    """Return what a table has room for: each line at its least and most, and every error."""
    made = []
    for line in lines:
        for point in (line["points"][0], line["points"][-1]):
            name = f"({line['name']}) by {line['supply']}, {point['nodes']} nodes"
            made.append(Figure(name, point["seconds"], "s"))
    worst = max((abs(check.error) for check in found), default=None)
    predicted = [abs(check.error) for check in found if check.kind == "predicted"]
    return [
        *made,
        *(Figure(f"{check.kind}: {check.what}", 100 * check.error, "% off") for check in found),
        Figure("worst error", None if worst is None else 100 * worst, "%"),
        Figure("worst error of what is predicted", 100 * max(predicted, default=0.0), "%"),
    ]


if __name__ == "__main__":
    main()
