"""Starts as traces, in a real OpenTelemetry collector."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from otlp_collector import Collector, running_collector, values
from whole import wait_for

from benchmarks.measure.made_starts import STAGES, Made, made_events
from bootseer.cli.main import run
from bootseer.events.event import Event, Phase
from bootseer.events.line import encode

pytestmark = pytest.mark.containers  # it takes minutes to build, once


@pytest.fixture
def collected(tmp_path: Path) -> Iterator[Collector]:
    with running_collector(tmp_path) as running:
        yield running


def written(tmp_path: Path, events: list[Event]) -> str:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(encode, events)))
    return str(path)


def test_a_collector_gets_a_trace_for_every_start(collected: Collector, tmp_path: Path) -> None:
    events = [one for n in range(2) for one in made_events(Made(70, attempt=n))]
    path = written(tmp_path, events)
    assert run(["profile", "send", path, "--otlp", collected.url]) == 0
    wait_for(lambda: len(collected.spans()) == 2 * 70 * len(STAGES), "all spans")
    spans = collected.spans()
    assert len({span["traceId"] for span in spans}) == 2
    assert len({span["spanId"] for span in spans}) == len(spans)
    assert {span["name"] for span in spans} == set(STAGES)
    one = next(span for span in spans if span["name"] == "imports")
    assert one["resource"]["service.name"] == "train"
    assert one["resource"]["host.name"].startswith("node")
    assert int(one["endTimeUnixNano"]) > int(one["startTimeUnixNano"])


def test_ids_stay_the_same_and_stages_without_an_end_are_errors(
    collected: Collector, tmp_path: Path
) -> None:
    events = [
        replace(one, attributes={"gpus": 8, "ratio": 0.5, "ok": True, "what": "x", "none": None})
        for one in made_events(Made(1, stages=1))
        if one.phase is Phase.BEGIN
    ]
    path = written(tmp_path, events)
    for _ in range(2):
        assert run(["profile", "send", path, "--otlp", f"{collected.url}/"]) == 0
    wait_for(lambda: len(collected.spans()) == 2, "both")
    first, second = collected.spans()
    assert first == second
    assert first["status"]["code"] == 2
    assert values(first) == {"gpus": "8", "ratio": 0.5, "ok": True, "what": "x"}


def test_a_collector_that_is_away_or_none_is_an_error(
    collected: Collector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, list(made_events(Made(1))))
    assert run(["profile", "send", path, "--otlp", f"{collected.url}/nothing"]) == 4
    assert "404" in capsys.readouterr().err
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert run(["profile", "send", path, "--otlp", f"http://127.0.0.1:{port}"]) == 4
