"""Spans of the daemon in a real OpenTelemetry collector."""

from pathlib import Path

import pytest
from otlp_collector import running_collector, values
from small_image import indexed_image
from whole import wait_for, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers


def test_a_lazy_start_is_traced(tmp_path: Path) -> None:
    with running_collector(tmp_path) as collected, work_directory() as directory:
        settings = f"traces:\n  otlp: {collected.url}\nhot:\n  record: never\nfill:\n  rate: 0\n"
        with whole(directory, settings) as node:
            image = indexed_image(node)
            node.pull(image.reference)
            node.run(image.reference, "sha256sum", image.big)
            names = ("layer.miss", "layer.fetch", "snapshots.Prepare")
            wait_for(
                lambda: {one["name"] for one in collected.spans()} >= set(names),
                "all kinds of spans",
            )
        found = collected.spans()
    prepared = [values(one) for one in found if one["name"] == "snapshots.Prepare"]
    assert {one["layer"] for one in prepared if "layer" in one} == set(image.layers)
    assert {one["image"] for one in prepared if "image" in one} == {image.reference}
    misses = {one["spanId"]: one for one in found if one["name"] == "layer.miss"}
    fetches = [one for one in found if one.get("parentSpanId") in misses]
    assert {one["name"] for one in fetches} == {"layer.fetch"}
    assert "demand" in {values(one)["purpose"] for one in fetches}
    for one in fetches:
        above = misses[one["parentSpanId"]]
        assert one["traceId"] == above["traceId"]
        assert values(one)["layer"] == values(above)["layer"]
    assert {one["resource"]["service.name"] for one in found} == {"bootseer-snapshotter"}
