"""A file system that hangs costs events, not time."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootseer.events.event import Origin
from bootseer.events.reading import read_events
from bootseer.events.sink import FileSink
from bootseer.events.stages import Stages

pytestmark = pytest.mark.containers


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_nobody_waits_for_a_file_system_that_hangs(disk: Path) -> None:
    sink = FileSink(disk, "node")
    stages = Stages(Origin("job", 0, "node"), sink)
    stages.begin("before")
    sink.rest()
    subprocess.run(["fsfreeze", "--freeze", disk], check=True)
    try:
        for number in range(3_000):
            stages.begin("meanwhile", {"number": number})
        sink.rest()
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
    stages.begin("after")
    deadline = time.monotonic() + 20
    while (events := read_events([disk]).events)[-1].stage != "after":
        assert time.monotonic() < deadline
        stages.begin("after")
    assert [events[0].stage, events[-1].stage] == ["before", "after"]
    assert len(events) + sum(event.lost for event in events) > 3_001
