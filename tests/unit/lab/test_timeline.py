"""Timelines: stages from events, bars that stay on their line, a chart of several runs."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.lab.chart import print_chart
from benchmarks.lab.timeline import Event, Run, Stage, Step, bar, printed_events, stages

PLAN = (
    Step("pull", "pull begins", "pull ends"),
    Step("create", "pull ends", "first output"),
    Step("work", "first output", "work done"),
)


def test_events_are_read_from_what_a_program_prints() -> None:
    lines = ["noise", "1700000000.250 first output\n", "1700000001.5 loss 62.5", "12.5 short"]
    assert list(printed_events(lines)) == [
        Event("first output", 1700000000.25),
        Event("loss 62.5", 1700000001.5),
    ]


def test_stages_run_from_their_begin_to_their_end() -> None:
    events = [Event("pull begins", 100), Event("pull ends", 110), Event("first output", 111.5)]
    run = stages("full pull", events, PLAN)
    assert run.stages == (Stage("pull", 0, 10), Stage("create", 10, 11.5))
    assert run.seconds == 11.5
    assert run.stage("work") is None


def test_no_events_make_an_empty_run() -> None:
    assert stages("nothing", [], PLAN) == Run("nothing", ())
    assert Run("nothing", ()).seconds == 0


@given(
    start=st.floats(0, 1e6),
    length=st.floats(0, 1e6),
    total=st.floats(0, 1e6),
    width=st.integers(1, 300),
)
def test_bar_is_visible_and_stays_on_its_line(
    start: float, length: float, total: float, width: int
) -> None:
    offset, cells = bar(Stage("s", start, start + length), total, width)
    assert cells >= 1
    assert 0 <= offset < width
    assert offset + cells <= width


def test_chart_shows_every_stage_of_every_run_with_its_seconds() -> None:
    full = Run("full pull", (Stage("pull", 0, 26.6), Stage("work", 26.6, 28)))
    lazy = Run("bootseer", (Stage("pull", 0, 0.7), Stage("fetch hot blocks", 0.7, 2)))
    output = io.StringIO()
    print_chart(Console(file=output, width=100), [full, lazy])
    text = output.getvalue()
    for expected in ("full pull", "bootseer", "fetch hot blocks", "26.6 s", "0.7 s", "28.0 s"):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 100
