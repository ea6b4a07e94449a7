from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.cli.main import run
from bootseer.errors import UsageError
from bootseer.events.deriving import Derived, derive
from bootseer.events.event import Event, Origin, Phase
from bootseer.events.patterns import LogPatterns, StagePattern, compiled
from bootseer.events.reading import read_events

NODE = Origin("job", 0, "a")
IMPORTS = StagePattern("imports", begin="starting main", end="imports done")
MODEL = StagePattern("model", lasted=r"model built in (?P<seconds>\S+) s on (?P<device>\w+)")
LOG = """\
starting main, before any time
[2026-11-25 10:00:00,250] INFO starting main
Traceback of something harmless: imports are slow
[2026-11-25 10:00:03,750] INFO imports done
[2026-11-25 10:00:09,000] [rank 3] model built in 4.5 s on cuda
[2026-11-25 10:00:09,000] model built in nan s on cuda
"""
TEN = 1_795_600_800_000_000_000
"""2026-11-25 10:00 UTC."""


def told(log: str, patterns: LogPatterns, counts: Derived | None = None) -> list[Event]:
    return list(derive(log.splitlines(), compiled(patterns), NODE, counts or Derived()))


def short(events: list[Event]) -> list[tuple[str, str, float, int | None]]:
    return [
        (one.stage, one.phase.value, (one.time_ns - TEN) / 1e9, one.origin.rank) for one in events
    ]


def test_lines_that_begin_and_end_a_stage_and_lines_that_say_how_long_it_took() -> None:
    counts = Derived()
    patterns = LogPatterns(rank=r"\[rank (\d+)\]", stages=(IMPORTS, MODEL))
    events = told(LOG, patterns, counts)
    assert short(events) == [
        ("imports", "begin", 0.25, None),
        ("imports", "end", 3.75, None),
        ("model", "begin", 4.5, 3),
        ("model", "end", 9.0, 3),
    ]
    assert events[2].attributes == {"device": "cuda"}
    assert (counts.lines, counts.untimed, counts.events) == (6, 1, 4)


@pytest.mark.parametrize(
    ("pattern", "form", "line"),
    [
        (r"^(\S+)", "iso", "2026-11-25T11:00:00+01:00 go"),
        (r"^(\S+)", "epoch", "1795600800.0 go"),
        (r"^(.{15})", "%Y%m%d %H%M%S", "20261125 120000 go"),
        (r"^(\S+ \S+)", "iso", "2026-11-25 12:00:00 go"),
    ],
)
def test_times_are_read_as_they_are_written(pattern: str, form: str, line: str) -> None:
    stage = StagePattern("x", begin="go", end="stop")
    patterns = LogPatterns(time=pattern, format=form, offset=2.0, stages=(stage,))
    (event,) = told(line, patterns)
    assert event.time_ns == TEN
    assert event.phase is Phase.BEGIN


def test_what_is_no_time_leaves_the_line_with_the_time_before() -> None:
    stage = StagePattern("x", begin="go", end="stop")
    patterns = LogPatterns(time=r"^(\S+)", format="epoch", stages=(stage,))
    assert short(told("1795600800 a\nnever go", patterns)) == [("x", "begin", 0.0, None)]


@pytest.mark.parametrize(
    "patterns",
    [
        LogPatterns(),
        LogPatterns(stages=(StagePattern("", "a", "b"),)),
        LogPatterns(stages=(StagePattern("x", "a"),)),
        LogPatterns(stages=(StagePattern("x", "a", "b", "(?P<seconds>.)"),)),
        LogPatterns(stages=(StagePattern("x", lasted="took (.)"),)),
        LogPatterns(stages=(StagePattern("x", "(", "b"),)),
        LogPatterns(time="no group", stages=(IMPORTS,)),
    ],
)
def test_patterns_that_make_no_sense_are_refused(patterns: LogPatterns) -> None:
    with pytest.raises(UsageError):
        compiled(patterns)


@given(st.text(max_size=300))
def test_no_log_breaks_it(log: str) -> None:
    patterns = LogPatterns(rank=r"(\d+)", stages=(IMPORTS, MODEL))
    told(log, patterns)
    told("2026-11-25T10:00:00Z " + log, patterns)


def test_the_command_prints_events_that_can_be_read_back(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "node7.log").write_text(LOG)
    (tmp_path / "patterns.yaml").write_text(
        "stages:\n  - {stage: imports, begin: starting main, end: imports done}\n"
    )
    arguments = ["event", "derive", str(tmp_path / "node7.log"), "--job", "train"]
    assert run([*arguments, "--patterns", str(tmp_path / "patterns.yaml")]) == 0
    out, err = capfdbinary.readouterr()
    (tmp_path / "events.jsonl").write_bytes(out)
    read = read_events([tmp_path / "events.jsonl"])
    assert [(one.stage, one.origin.node, one.origin.job) for one in read.events] == [
        ("imports", "node7", "train")
    ] * 2
    assert b"2 events from 6 lines; 1 left out" in err


def test_a_mistake_in_the_patterns_is_said_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "patterns.yaml").write_text("stages:\n  - {stage: x, begn: y}\n")
    log = tmp_path / "a.log"
    log.touch()
    assert run(["event", "derive", str(log), "--patterns", str(tmp_path / "patterns.yaml")]) == 2
    assert "begin" in capsys.readouterr().err
