"""Which metrics there are: all of them documented, none that grows with what a node runs."""

import re
from pathlib import Path

from exposition_reader import Metric, read
from node_numbers import node_numbers

from bootseer.metrics.exposition import render
from snapshotter.metrics.families import families

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/metrics.md"
ROW = re.compile(r"\| `(\w+)(?:\{([\w,]+)\})?` \| (counter|gauge) \| (.+) \|")
LABELS = {"area", "source", "outcome", "purpose", "course", "stage", "reason", "state", "verdict"}
LABELS |= {"kind", "version"}


def metrics() -> dict[str, Metric]:
    return read(render(families(node_numbers())))


def labels(metric: Metric) -> set[str]:
    return {name for sample in metric.samples for name, _ in sample}


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    rows = [ROW.fullmatch(line) for line in DOCUMENT.read_text().splitlines()]
    documented = {row[1]: (row[3], set((row[2] or "").split(",")) - {""}) for row in rows if row}
    found = {name: (metric.kind, labels(metric)) for name, metric in metrics().items()}
    assert found == documented


def test_every_label_value_is_documented_unless_it_is_a_version() -> None:
    text = DOCUMENT.read_text()
    for name, metric in metrics().items():
        for sample in metric.samples:
            missing = [value for label, value in sample if f"`{value}`" not in text]
            assert name == "bootseer_build_info" or not missing, name


def test_no_label_names_a_layer_an_image_or_a_host() -> None:
    assert {label for metric in metrics().values() for label in labels(metric)} == LABELS


def test_units_are_in_the_names() -> None:
    for name, metric in metrics().items():
        if re.match(r"(Compressed )?bytes|size|memory", metric.help, re.IGNORECASE):
            assert "_bytes" in name, name
        if re.match(r"(Processor )?time|when", metric.help, re.IGNORECASE):
            assert "_seconds" in name, name


def test_the_reason_of_a_pause_is_told() -> None:
    paused = metrics()["bootseer_fill_paused"]
    assert paused.value(reason="disk") == 1
    assert sum(paused.samples.values()) == 1
