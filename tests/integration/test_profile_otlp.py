"""Starts as traces, in a real OpenTelemetry collector."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from whole import wait_for

from benchmarks.lab.service import service
from benchmarks.measure.made_starts import STAGES, Made, made_events
from bootseer.cli.main import run
from bootseer.events.event import Event, Phase
from bootseer.events.line import encode
from tooling import collector

pytestmark = pytest.mark.containers  # it takes minutes to build, once

CONFIG = """\
receivers:
  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}
exporters:
  file: {{path: {out}, flush_interval: 50ms}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [file]}}
"""


@dataclass(frozen=True, slots=True)
class Collector:
    url: str
    out: Path

    def spans(self) -> list[dict[str, Any]]:
        """Return the spans that arrived, with their resource's attributes as `resource`."""
        found = []
        for line in self.out.read_text().splitlines():
            for part in json.loads(line)["resourceSpans"]:
                resource = values(part["resource"])
                for scope in part["scopeSpans"]:
                    found += [span | {"resource": resource} for span in scope["spans"]]
        return found


def values(holder: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in holder.get("attributes", ())}


@pytest.fixture(scope="module")
def program() -> Path:
    return collector.ensure()


@pytest.fixture
def collected(program: Path, tmp_path: Path) -> Iterator[Collector]:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    out, config = tmp_path / "out.jsonl", tmp_path / "collector.yaml"
    config.write_text(CONFIG.format(port=port, out=out))
    argv = [str(program), "--config", str(config)]
    with service("collector", argv, tmp_path / "collector.log") as running:
        running.wait_until(lambda: "Everything is ready" in running.log.read_text())
        yield Collector(f"http://127.0.0.1:{port}", out)


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
