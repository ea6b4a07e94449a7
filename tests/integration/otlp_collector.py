"""A real OpenTelemetry collector that writes what it gets to a file."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lab.service import service
from tooling.collector import COLLECTOR

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
        found: list[dict[str, Any]] = []
        for line in self.out.read_text().splitlines() if self.out.exists() else ():
            for part in json.loads(line)["resourceSpans"]:
                resource = values(part["resource"])
                for scope in part["scopeSpans"]:
                    found += [span | {"resource": resource} for span in scope["spans"]]
        return found


def values(holder: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in holder.get("attributes", ())}


@contextmanager
def running_collector(directory: Path) -> Iterator[Collector]:
    """Run a collector on a free loopback port during the block; its files are in `directory`."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    out, config = directory / "out.jsonl", directory / "collector.yaml"
    config.write_text(CONFIG.format(port=port, out=out))
    argv = [str(COLLECTOR.ensure()), "--config", str(config)]
    with service("collector", argv, directory / "collector.log") as running:
        running.wait_until(lambda: "Everything is ready" in running.log.read_text())
        yield Collector(f"http://127.0.0.1:{port}", out)
