"""The status document: every field of it is documented, and people see what matters."""

import io
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from node_numbers import node_numbers
from rich.console import Console

from bootseer.cli.status_output import status_view
from snapshotter.chunks.reads import ReadCounters, Source
from snapshotter.metrics.document import status_document
from snapshotter.serving.fill import FillNumbers, FillStage
from snapshotter.serving.filling import Pause
from snapshotter.starts.area import FeedCounters

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/cli.md"
REFERENCE = "registry.example/train:latest"


def hot_image(**more: Any) -> dict[str, Any]:
    feed = asdict(FeedCounters(brought=80 << 20, seconds=2.0))
    reads = ReadCounters()
    reads.reads[Source.JOINED], reads.reads[Source.DEMAND] = 1234, 56
    image = {
        "image": REFERENCE,
        "manifest": "sha256:" + "1" * 64,
        "workload": "train",
        "course": "pack",
        "source": "sha256:" + "2" * 64,
        "going_on": True,
        "failure": "",
        "blocks": 25_600,
        "blocks_missing": 5_120,
        "blocks_unused": None,
        "reads": asdict(reads),
        "feed": feed,
    }
    return image | more


def document(fill: FillNumbers | None = None, **hot: Any) -> dict[str, Any]:
    numbers = node_numbers()
    if fill is not None:
        numbers = replace(numbers, fill=fill)
    found = {"images": [], "recordings": [], "recorded": []} | hot
    made: dict[str, Any] = json.loads(json.dumps(status_document(numbers, [], [], found)))
    return made


def shown(status: dict[str, Any], width: int = 120) -> str:
    file = io.StringIO()
    Console(file=file, width=width, highlight=False).print(status_view(status))
    return file.getvalue()


def test_every_field_of_the_document_is_documented() -> None:
    text = DOCUMENT.read_text()
    told = document(images=[hot_image()])
    names = {*told, *told["fill"], *told["reads"], *told["page_cache"], *told["hot"]}
    names |= set(told["hot"]["images"][0]) | set(told["reads"]["hot"])
    assert not [name for name in sorted(names) if f"`{name}`" not in text]


def test_a_prefetch_is_shown_with_progress_rate_and_waits() -> None:
    line = next(line for line in shown(document(images=[hot_image()])).splitlines() if "━" in line)
    assert re.match(rf"{REFERENCE} +train +pack +━+╸ +80% of 104.9 MB +41.9 MB/s +1,234 +56", line)


def test_what_was_prefetched_for_nothing_is_shown_once_it_is_known() -> None:
    assert "unused" not in shown(document(images=[hot_image()]))
    told = shown(document(images=[hot_image(blocks_unused=2_560)]))
    assert f"{REFERENCE} (train): 10 % of its hot blocks unused" in told


def test_why_a_prefetch_was_given_up_is_shown() -> None:
    told = shown(document(images=[hot_image(failure="the registry is gone")]))
    assert f"{REFERENCE} (train): the registry is gone" in told


def test_a_recording_that_goes_on_is_shown() -> None:
    recording = {"number": 1, "image": REFERENCE, "workload": "", "blocks": 250, "going_on": True}
    told = shown(document(recordings=[recording]))
    assert f"recording {REFERENCE} (default): 1.0 MB so far" in told


@pytest.mark.parametrize(
    ("stage", "pause", "text"),
    [
        (FillStage.OFF, None, "fill     off"),
        (FillStage.DONE, None, "fill     nothing is missing"),
        (FillStage.RUNNING, None, "fill     3 layers lack 1,200 chunks"),
        (FillStage.PAUSED, Pause.DISK, "fill     waits, the disk is nearly full; 3 layers lack"),
    ],
)
def test_the_fill_says_how_far_it_is_and_why_it_waits(
    stage: FillStage, pause: Pause | None, text: str
) -> None:
    assert text in shown(document(FillNumbers(stage, pause, 0, 3, 1200)))


def test_names_from_elsewhere_cannot_control_the_terminal() -> None:
    evil = hot_image(image="\x1b[2Jevil", workload="[bold]\x07", failure="\x1b]0;title\x07")
    told = shown(document(images=[evil]))
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "[bold]" in told
