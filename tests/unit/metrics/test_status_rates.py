"""Rates between two status documents."""

import copy

from node_numbers import node_numbers
from rich.console import Console

from bootseer.cli.status_output import status_view
from bootseer.cli.status_rates import rates
from snapshotter.metrics.document import status_document

LAYER = {
    "digest": "sha256:" + "a" * 64,
    "image": "a/b",
    "data_bytes": 1000,
    "local_bytes": 250,
    "chunks": 4,
    "chunks_local": 1,
    "disk_bytes": 300,
    "fetching": 2,
    "fetched_bytes": 100,
    "demand_misses": 1,
    "verified": False,
    "poisoned": "",
}


def document() -> dict:
    hot = {"images": [], "recordings": [], "recorded": []}
    return status_document(node_numbers(), ["a"], [dict(LAYER)], hot) | {"uptime_s": 10.0}


def test_rates_are_what_was_done_a_second() -> None:
    before, after = document(), document()
    after = copy.deepcopy(after) | {"uptime_s": 12.0}
    after["fetched_bytes"]["demand"] += 500
    after["reads"]["layers"]["reads"]["demand"] += 4
    after["reads"]["hot"]["bytes"]["cache"] += 100
    found = rates(before, after)
    assert found is not None
    assert found["fetched_bytes"]["demand"] == 250
    assert found["reads"] == {"cache": 0, "joined": 0, "demand": 2}
    assert found["read_bytes"] == 50


def test_another_server_begins_anew() -> None:
    before = document()
    assert rates(before, before | {"pid": -1, "uptime_s": 99}) is None
    assert rates(before, before) is None


def test_the_view_tells_what_goes_on_now() -> None:
    status = document()
    console = Console(width=200)
    with console.capture() as shown:
        console.print(status_view(status | {"rates": rates(status, status | {"uptime_s": 11.0})}))
    text = shown.get()
    assert "2 chunks under way" in text
    assert "25% of 1.0 kB local" in text
    assert "0 B/s fetched" in text
