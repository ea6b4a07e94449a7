"""What went on between two status documents. Pure."""

from collections.abc import Mapping
from typing import Any

_SOURCES = ("cache", "joined", "demand")


def rates(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what was done a second; None if another server answered, or no time passed."""
    seconds = after["uptime_s"] - before["uptime_s"]
    if after["pid"] != before["pid"] or seconds <= 0:
        return None
    fetched = {
        purpose: (size - before["fetched_bytes"].get(purpose, 0)) / seconds
        for purpose, size in after["fetched_bytes"].items()
    }
    return {
        "seconds": round(seconds, 1),
        "fetched_bytes": fetched,
        "reads": {
            source: (_reads(after, "reads", source) - _reads(before, "reads", source)) / seconds
            for source in _SOURCES
        },
        "read_bytes": sum(
            _reads(after, "bytes", source) - _reads(before, "bytes", source) for source in _SOURCES
        )
        / seconds,
    }


def _reads(status: Mapping[str, Any], what: str, source: str) -> int:
    return sum(int(area[what][source]) for area in status["reads"].values())
