"""Files of events: appended to by many, and never in the way of who writes."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootseer.errors import NotFoundError
from bootseer.events.event import Event, Origin, Phase
from bootseer.events.line import encode
from bootseer.events.reading import read_events
from bootseer.events.sink import FileSink
from bootseer.events.stages import SILENT, Stages
from bootseer.events.surroundings import origin_of, stages_of

ORIGIN = Origin("job", 2, "node", 3)


def stages(path: Path) -> tuple[Stages, FileSink]:
    sink = FileSink(path, "node")
    return Stages(ORIGIN, sink), sink


def test_a_stage_is_a_beginning_and_an_end_that_know_each_other(tmp_path: Path) -> None:
    own, sink = stages(tmp_path / "events.jsonl")
    with own.stage("load", size=1) as found:
        found["code"] = 0
    with pytest.raises(KeyError), own.stage("fails"):
        raise KeyError
    sink.rest()
    begin, end, _, failed = read_events([tmp_path / "events.jsonl"]).events
    assert (begin.stage, begin.phase, begin.attributes) == ("load", Phase.BEGIN, {"size": 1})
    assert (end.phase, end.attributes, end.identity) == (Phase.END, {"code": 0}, begin.identity)
    assert begin.origin == ORIGIN
    assert end.monotonic_ns >= begin.monotonic_ns
    assert failed.attributes == {"error": "KeyError"}
    assert failed.identity != begin.identity


def test_in_a_directory_each_node_and_user_has_a_file(tmp_path: Path) -> None:
    own, sink = stages(tmp_path)
    own.begin("load")
    sink.rest()
    assert [path.name for path in tmp_path.iterdir()] == [f"node-{os.geteuid()}.jsonl"]
    assert len(read_events([tmp_path]).events) == 1


def test_a_link_that_somebody_laid_into_the_directory_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / f"node-{os.geteuid()}.jsonl").symlink_to(victim)
    own, sink = stages(shared)
    own.begin("load")
    sink.rest()
    assert victim.read_text() == ""


@pytest.mark.parametrize("where", ["missing/events.jsonl", "/dev/full", "file/events.jsonl"])
def test_what_cannot_be_written_is_said_once_and_hurts_nobody(
    tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    own, sink = stages(tmp_path / where)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            own.begin("load")
            sink.rest()
    assert [record.getMessage() for record in caplog.records] == ["events.dropped"]


def test_an_event_says_how_many_before_it_were_lost(tmp_path: Path) -> None:
    own, sink = stages(tmp_path / "later" / "events.jsonl")
    for _ in range(3):
        own.begin("lost")
    sink.rest()
    (tmp_path / "later").mkdir()
    for _ in range(2):
        own.begin("kept")
    sink.rest()
    kept = read_events([tmp_path / "later"]).events
    assert [(event.stage, event.lost) for event in kept] == [("kept", 3), ("kept", 0)]


def test_a_pipe_that_nobody_reads_takes_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the thread may not run for long, which is not what is looked at here.
    monkeypatch.setattr("bootseer.events.sink._PATIENCE_S", 20.0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        own, sink = stages(pipe)
        for _ in range(20_000):
            own.begin("load", {"x": "y" * 100})
        sink.rest()
        data = os.read(reader, 1 << 22)
        own.begin("last")
        sink.rest()
        data += os.read(reader, 1 << 22)
    finally:
        os.close(reader)
    (tmp_path / "copy.jsonl").write_bytes(data)
    read = read_events([tmp_path / "copy.jsonl"])
    assert read.broken == 0
    assert len(read.events) + sum(event.lost for event in read.events) == 20_001


WRITER = """
import sys
from pathlib import Path
from bootseer.events.event import Origin
from bootseer.events.sink import FileSink
from bootseer.events.stages import Stages
stages = Stages(Origin("job", 0, "node", int(sys.argv[2])), FileSink(Path(sys.argv[1]), "node"))
for number in range(200):
    with stages.stage("load", number=number, padding="x" * 500):
        pass
"""


def test_many_processes_append_whole_lines_to_one_file(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(rank)]) for rank in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    read = read_events([file])
    assert read.broken == 0
    for rank in range(4):
        own = [event for event in read.events if event.origin.rank == rank]
        assert [event.attributes.get("number") for event in own[::2]] == list(range(200))


def test_a_fork_takes_no_event_along_and_loses_none(tmp_path: Path) -> None:
    own, sink = stages(tmp_path / "events.jsonl")
    own.begin("parent")
    if (pid := os.fork()) == 0:
        own.begin("child")
        sink.rest()
        os._exit(0)
    os.waitpid(pid, 0)
    own.begin("parent again")
    sink.rest()
    read = read_events([tmp_path / "events.jsonl"])
    assert [event.stage for event in read.events] == ["parent", "child", "parent again"]


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    own, sink = stages(file)
    own.begin("first")
    sink.rest()
    file.rename(tmp_path / "rotated")
    own.begin("second")
    sink.rest()
    assert [event.stage for event in read_events([file]).events] == ["second"]


def test_broken_lines_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    good = encode(Event(ORIGIN, "load", Phase.BEGIN, 1, 2))
    lines = [good, b"{broken\n", b"\n", b"x" * 100_000 + b"\n", good, b"\xff\n", good, good[:-9]]
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(lines))
    read = read_events([file])
    assert (len(read.events), read.broken, read.more) == (3, 4, False)
    few = read_events([file], most=2)
    assert (len(few.events), few.more) == (2, True)
    with pytest.raises(NotFoundError):
        read_events([tmp_path / "missing"])


def test_who_writes_is_taken_from_launchers() -> None:
    torch = {"RANK": "7", "TORCHELASTIC_RUN_ID": "run", "TORCHELASTIC_RESTART_COUNT": "2"}
    assert origin_of(torch, "host") == Origin("run", 2, "host", 7)
    said = {
        "BOOTSEER_JOB": "j",
        "BOOTSEER_NODE": "n",
        "BOOTSEER_RANK": "1",
        "BOOTSEER_ATTEMPT": "x",
    }
    assert origin_of(torch | said, "host") == Origin("j", 0, "n", 1)
    assert origin_of({"RANK": "9" * 400, "SLURM_PROCID": "-1"}, "host", "job") == Origin(
        "job", 0, "host", None
    )


def test_without_a_place_nothing_is_written(tmp_path: Path) -> None:
    assert stages_of({}, "").sink is None
    assert stages_of({"BOOTSEER_EVENTS": ""}, str(tmp_path)).sink is None
    with SILENT.stage("load"):
        pass


PROGRAM = """
import bootseer
with bootseer.stage("model_init", layers=3):
    pass
"""


def test_a_job_tells_of_its_stages_by_itself_and_by_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    variables = os.environ | {"BOOTSEER_EVENTS": str(file), "BOOTSEER_JOB": "job", "RANK": "3"}
    cli = [sys.executable, "-m", "bootseer", "event"]
    for command in (
        [*cli, "begin", "data", "--id", "a", "--attribute", "files=3"],
        [sys.executable, "-c", PROGRAM],
        [*cli, "end", "data", "--id", "a"],
    ):
        subprocess.run(command, env=variables, check=True)
    events = read_events([file]).events
    seen = [(event.stage, event.phase.value, event.attributes) for event in events]
    assert seen == [
        ("data", "begin", {"files": "3"}),
        ("model_init", "begin", {"layers": 3}),
        ("model_init", "end", {}),
        ("data", "end", {}),
    ]
    assert {(event.origin.job, event.origin.rank) for event in events} == {("job", 3)}
    assert events[0].identity == events[3].identity == "a"
    variables["BOOTSEER_EVENTS"] = str(tmp_path / "missing" / "events")
    said = subprocess.run([*cli, "begin", "data"], env=variables, check=True, capture_output=True)
    assert said.stderr.decode().splitlines() == ["events.dropped"]
