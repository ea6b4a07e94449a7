"""How long the stages of a command took, by the startup events that it wrote."""

from pathlib import Path

from bootseer.events.event import Phase
from bootseer.events.reading import read_events


def stage_seconds(path: Path) -> dict[str, float]:
    """Return the seconds of each stage in a file of events; of one that came often, all of them."""
    began: dict[str, int] = {}
    found: dict[str, float] = {}
    for event in read_events([path]).events:
        if event.phase is Phase.BEGIN:
            began[event.identity] = event.monotonic_ns
        elif (start := began.get(event.identity)) is not None:
            seconds = (event.monotonic_ns - start) / 1e9
            found[event.stage] = found.get(event.stage, 0.0) + seconds
    return found
