"""`scripts/bench startup`: a training job from nothing on the node to its first step, in many ways.

Everything is real: a registry, a package index, an HDFS with DataNodes of their own, containers by
containerd, links that are limited where it says so. Nodes are new for each start, and nothing is in
the page cache. `--json` writes an object:

    conditions  job, rates in Mbit/s (0: no limit), nodes, DataNodes, whether there is a mirror
    options     of the command, that make it measure the same again
    ways        by name: title; runs; seconds of the job, and node_seconds, by median, least, most;
                straggler; median node_bytes, registry_bytes and uplink_bytes (of all servers but
                DataNodes); stages: median seconds on a node, by stage (docs/events.md)
    starts      each, with what its nodes took
    figures     as they are printed
"""

import json
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import click

from benchmarks.figures import Figure, emit
from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.workdir import work_directory
from benchmarks.start import idpl, light, results, stages
from benchmarks.start.conditions import DATA_NODES, RATE, Conditions, usual_copies
from benchmarks.start.events_cost import seconds_of_a_start
from benchmarks.start.faults import Fault, way_of
from benchmarks.start.kept import Kept
from benchmarks.start.measure import measure, start_alone, start_with_fault
from benchmarks.start.place import place
from benchmarks.start.prepare import prepare
from benchmarks.start.results import Goals
from benchmarks.start.ways import OURS, WAYS
from bootseer.errors import BootseerError
from tooling.progress import doing, say

_RUNS: Final = 5
_SOONER: Final = {1000.0: 3.0, 0.0: 2.0}
"""Megabits a second of a node's link -> how many times sooner all of ours have to be."""
_EIGHT: Final = 8
_STRAGGLER: Final = 1.2
"""Most that the slowest of eight nodes may take, by the median node."""
_EVENTS: Final = 1.0
"""Most that telling of stages may cost, in percent."""
_MANY: Final = ("a", "c")
_JOBS: Final = {"idpl": idpl.idpl, "light": light.light}


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write a page.")
@click.option("--runs", type=click.IntRange(1), help=f"Runs of each way; {_RUNS} by default.")
@click.option("--quick", is_flag=True, help="One run of each way.")
@click.option("--way", "names", type=click.Choice(list(WAYS)), multiple=True, help="Only these.")
@click.option("--rate", default=RATE, show_default=True, help="A node's link, Mbit/s; 0: all.")
@click.option(
    "--data-rate",
    type=float,
    help="A DataNode's link, Mbit/s; by default a quarter of --rate: a node is faster than one.",
)
@click.option("--nodes", default=1, show_default=True, help="Nodes that start at the same time.")
@click.option("--uplink", default=0.0, help="Link of registry and index, Mbit/s; 0: no limit.")
@click.option(
    "--copies",
    type=click.IntRange(1, DATA_NODES),
    help="Of the checkpoint's blocks; by default 1, and with faults 2.",
)
@click.option("--mirror", is_flag=True, help="A cache before the registry, empty at first.")
@click.option(
    "--job",
    type=click.Choice(list(_JOBS)),
    help="What is started: examples/idpl, or a light job; by default that with several nodes.",
)
@click.option(
    "--fault",
    "faults",
    type=click.Choice([fault.value for fault in Fault]),
    multiple=True,
    help="Start as all of ours do, without and with this fault (one node).",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep what is prepared and measured here, and go on with what is there.",
)
def main(
    json_file: Path | None,
    html_file: Path | None,
    runs: int | None,
    quick: bool,
    names: tuple[str, ...],
    rate: float,
    data_rate: float | None,
    nodes: int,
    uplink: float,
    copies: int | None,
    mirror: bool,
    job: str | None,
    faults: tuple[str, ...],
    state: Path | None,
) -> None:
    """Measure whole starts of examples/idpl, from an empty node to the first training step.

    (a) a full pull, pip, a plain file in HDFS; (b) a lazy image, the rest as (a); (c) all of ours;
    and (c) less each of its parts. Links are limited each way.
    """
    if faults and nodes > 1:
        raise click.UsageError("--fault: with one node")
    conditions = Conditions.of(
        job=job,
        rate=rate,
        data_rate=data_rate,
        uplink=uplink,
        nodes=nodes,
        mirror=mirror,
        copies=copies or usual_copies(faults),
    )
    rates = conditions.rates
    count = runs or (1 if quick else _RUNS)
    try:
        with undo_stack() as stack:
            directory = stack.enter_context(work_directory())
            kept = Kept.open(state or directory / "kept", asdict(conditions))
            made = place(
                directory,
                _JOBS[conditions.job](),
                nodes=nodes,
                data_nodes=conditions.data_nodes,
                state=kept.root / f"registry-{conditions.job}",
                events=kept.events,
            )
            ready = stack.enter_context(made)
            prepare(ready, conditions.copies)
            ready.set_rates(rates)
            attempts = range(kept.next_attempt, kept.next_attempt + count)
            usual = (OURS.name,) if faults else WAYS if nodes == 1 else _MANY
            ways = [WAYS[name] for name in names or usual]
            measure(ready, ways, attempts, kept.add, mirrored=mirror)
            for attempt in attempts:
                for fault in map(Fault, faults):
                    with doing(f"c with {fault.value}, run {attempt}"):
                        kept.add(start_with_fault(ready, fault, attempt, rates))
            goals = _goals(rate, nodes)
            if mirror:
                with doing("c on one node, without the mirror"):
                    goals = replace(goals, alone=start_alone(ready))
            _tell(kept, conditions, goals, json_file, html_file)
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)


def _goals(rate: float, nodes: int) -> Goals:
    sooner = _SOONER.get(rate) if nodes == 1 else None
    return Goals(sooner, _STRAGGLER if nodes >= _EIGHT else None)


def _tell(
    kept: Kept,
    conditions: Conditions,
    goals: Goals,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Print and write what all starts under these conditions say."""
    found = results.by_way(kept.starts)
    medians = {name: stages.medians(kept.events / name) for name in found}
    figures = [
        *results.figures(kept.starts, goals),
        *results.fault_costs(medians),
        *_events_cost(kept, conditions),
    ]
    emit(f"startup, {conditions.described}", figures, None)
    for line in results.different_losses(kept.starts):
        say(f"error: {line}")
    if json_file:
        faults = [fault.value for fault in Fault if way_of(fault).name in found]
        document = {
            "conditions": asdict(conditions),
            "options": conditions.options(faults),
            **results.document(kept.starts, medians, figures),
        }
        json_file.write_text(json.dumps(document, indent=1) + "\n")
    if html_file:
        html_file.write_text(stages.page(kept.events))


def _events_cost(kept: Kept, conditions: Conditions) -> list[Figure]:
    """Return what it costs all of ours to tell of its stages; promised of a real job."""
    ours = results.by_way(kept.starts).get(OURS.name)
    if ours is None or conditions.nodes > 1:
        return []
    goal = _EVENTS if conditions.job == "idpl" else None
    cost = seconds_of_a_start(kept.events / OURS.name, len(ours))
    share = 100 * cost / statistics.median(start.seconds for start in ours)
    name = "c: processor time of telling of stages / first step"
    return [Figure(name, share, "%", goal)]


if __name__ == "__main__":
    main()
