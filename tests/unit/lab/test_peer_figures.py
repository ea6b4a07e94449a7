"""Figures of other snapshotters beside ours, some of whose starts failed."""

from benchmarks.lab.starts import Start
from benchmarks.lab.timeline import Run, Stage
from benchmarks.measure.peers import figures


def start(seconds: float) -> Start:
    return Start(Run("x", (Stage("work", 0, seconds),)), [], 30_000_000, 14)


def test_ours_is_compared_with_each_other_one_by_starts_made_in_turn() -> None:
    found = {"ours": [start(2), start(4)], "other": [start(6), start(16)]}
    made = {figure.name: figure for figure in figures("slow", found, "ours", 3.0)}
    compared = made["slow: other / ours"]
    assert (compared.value, compared.goal, compared.better) == (3.5, 3.0, "higher")
    assert made["slow: ours, median"].value == 3
    assert made["slow: other, fetched"].value == 30
    assert "slow: ours / ours" not in made


def test_a_start_that_failed_is_left_out_with_its_counterpart() -> None:
    found = {"ours": [start(2), None, start(4)], "other": [None, start(9), start(8)]}
    made = {figure.name: figure for figure in figures("slow", found, "ours", 3.0)}
    assert made["slow: other / ours"].value == 2


def test_a_peer_that_never_started_is_a_figure_without_a_value() -> None:
    made = figures("slow", {"ours": [start(2)], "other": [None]}, "ours", 3.0)
    assert [(one.name, one.value) for one in made if one.goal] == [("slow: other / ours", None)]
