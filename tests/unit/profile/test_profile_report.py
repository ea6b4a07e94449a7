import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.measure.made_starts import SHARED, STAGES, Made, made_events
from bootseer.cli.main import run
from bootseer.events.event import Event
from bootseer.events.line import encode
from bootseer.events.reading import Read
from bootseer.profile.report import compare, make_report
from bootseer.profile.starts import Kind
from bootseer.profile.trace import trace_document

NODES = 12


def events(**about: float) -> list[Event]:
    return list(made_events(replace(Made(NODES), **about)))  # type: ignore[arg-type]


def read(*groups: list[Event]) -> Read:
    return Read(list(itertools.chain(*groups)))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(encode, events(slow=2.0, skew_ns=10**9))))
    return path


def test_stages_come_in_their_usual_order_with_what_they_took() -> None:
    (kind,) = make_report(read(events())).kinds
    assert (kind.kind, kind.starts) == (Kind.FULL, 1)
    assert [row.stage for row in kind.stages] == list(STAGES)
    assert {row.samples for row in kind.stages} == {NODES}
    assert all(0 < row.node.median <= row.node.p95 <= row.node.most for row in kind.stages)
    assert sum(row.share for row in kind.stages) == pytest.approx(1.0)
    assert kind.idle_share == pytest.approx(0.0, abs=1e-6)


def test_a_slow_node_shows_as_straggler_of_stages_and_of_the_start() -> None:
    (kind,) = make_report(read(events(slow=3.0))).kinds
    stages = {row.stage: row.straggler for row in kind.stages}
    assert all(2 < stages[stage] < 5 for stage in STAGES if stage != SHARED)
    assert stages[SHARED] < 1.5
    assert kind.straggler > 1.3


def test_skewed_clocks_make_no_difference_where_nodes_met() -> None:
    straight, skewed = (make_report(read(events(skew_ns=skew))) for skew in (0, 60 * 10**9))
    assert skewed.alignments[0].stage == SHARED
    assert skewed.alignments[0].worst_ns > 10**9
    assert skewed.kinds[0].job.median == pytest.approx(straight.kinds[0].job.median)
    assert not make_report(read(events())).alignments[0].worst_ns


def test_full_starts_and_hot_updates_are_apart() -> None:
    update = [one for one in events(attempt=1) if not one.stage.startswith("image.")]
    full, hot = make_report(read(events(), update)).kinds
    assert (full.kind, hot.kind) == (Kind.FULL, Kind.UPDATE)
    assert "image.layer" not in {row.stage for row in hot.stages}


def test_gpu_hours_are_told_said_or_counted_by_ranks() -> None:
    plain = events()
    seconds = make_report(read(plain)).kinds[0].job.median
    assert make_report(read(plain)).gpu_hours is None
    told = make_report(read(plain), gpus_per_node=8)
    assert told.gpu_hours == pytest.approx(8 * NODES * seconds / 3600)
    said = [replace(one, attributes={**one.attributes, "gpus": 4}) for one in plain]
    assert make_report(read(said)).gpus == 4 * NODES
    ranked = [
        replace(one, origin=replace(one.origin, rank=rank)) for one in plain for rank in range(2)
    ]
    assert make_report(read(ranked)).gpus == 2 * NODES


def test_a_baseline_is_compared_stage_by_stage() -> None:
    before = make_report(read(events()))
    faster = [replace(one, monotonic_ns=one.monotonic_ns // 2) for one in events()]
    changes = compare(before, make_report(read(faster)))
    ratios = {change.stage: change.ratio for change in changes}
    assert list(ratios) == ["", *STAGES]
    assert all(ratios[stage] == pytest.approx(2.0, rel=1e-3) for stage in STAGES)
    gone = compare(before, make_report(read()))
    assert all(change.after is None and change.ratio is None for change in gone)


def test_a_trace_has_a_process_for_each_node() -> None:
    report = make_report(read(events(), events(attempt=1)))
    trace = trace_document(report)["traceEvents"]
    names = [one for one in trace if one["name"] == "process_name"]
    assert len({one["pid"] for one in names}) == 2 * NODES
    spans = [one for one in trace if one["ph"] == "X"]
    assert len(spans) == 2 * NODES * len(STAGES)
    assert all(one["dur"] >= 0 for one in spans)


def test_the_command_prints_the_same_for_people_and_machines(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", "report", str(written), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (kind,) = document["kinds"]
    assert [row["stage"] for row in kind["stages"]] == list(STAGES)
    assert document["starts"][0]["slowest"][0]["node"] == f"node{NODES - 1:04}"
    assert run(["profile", "report", str(written)]) == 0
    text = capsys.readouterr().out
    assert all(stage in text for stage in STAGES)
    assert "clocks of nodes were set by the end of rendezvous" in text


def test_one_line_in_ten_may_be_broken(
    tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    broken = [
        line[: len(line) // 2] + b"\n" if n % 10 == 3 else line for n, line in enumerate(lines)
    ]
    (tmp_path / "broken.jsonl").write_bytes(b"".join(broken))
    assert run(["profile", "report", str(tmp_path / "broken.jsonl"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["trouble"]["broken"] == len(lines) // 10
    assert document["kinds"][0]["stages"]
    assert document["trouble"]["unended"] + document["trouble"]["unbegun"] == len(lines) // 10


def test_a_report_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    page, trace = tmp_path / "p.html", tmp_path / "t.json"
    arguments = ["profile", "report", str(tmp_path / "empty.jsonl")]
    assert run([*arguments, "--html", str(page), "--export", str(trace)]) == 0
    assert "0 starts" in capsys.readouterr().out
    assert page.exists()
    assert json.loads(trace.read_text())["traceEvents"] == []
    assert run(["profile", "report", str(tmp_path / "none.jsonl")]) == 3


def test_a_start_that_goes_on_is_watched(
    tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    written.write_bytes(
        b"".join(line for line in lines if b'"first_step","event":"end"' not in line)
    )
    assert run(["profile", "watch", str(written), "--once"]) == 0
    text = capsys.readouterr().out
    assert "train, attempt 0" in text
    assert f"{NODES} of {NODES}" in text
    assert f"0 of {NODES}" in text
    assert run(["profile", "watch", str(tmp_path / "later.jsonl"), "--once"]) == 0
    assert "no start yet" in capsys.readouterr().out
