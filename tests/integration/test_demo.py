"""The demo with everything real but its image, which is small here."""

import io

import pytest
from rich.console import Console
from small_image import layout_of_two_layers

from benchmarks.lab import demo
from benchmarks.lab.netns import network
from benchmarks.lab.registry import registry
from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers

READS_ALL = ("sh", "-c", "cat /data/*/* | wc -c")
READS_NOTHING = ("sh", "-c", ":")


def shown(command: tuple[str, ...]) -> list[str]:
    """Run the demo without a limit on the link; return the lines that it prints."""
    with work_directory() as work, network(None) as net, registry(net, work / "r") as hub:
        job = demo.Job(layout_of_two_layers(work), "small", command)
        reference = demo.publish(job, net, hub.host)
        results = demo.compare(job, net, hub, reference, work, 0)
        console = Console(file=io.StringIO(), width=100)
        demo.show(job, results, 0, console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue().splitlines()


def test_third_start_has_the_hot_blocks_that_the_second_was_seen_to_touch() -> None:
    lines = shown(READS_ALL)
    titles = next(line for line in lines if "full pull" in line)
    assert "lazy, hot blocks" in titles
    assert "over the link." in lines[-1]


def test_start_that_touches_hardly_anything_has_no_third_run() -> None:
    lines = shown(READS_NOTHING)
    assert not any("hot blocks" in line for line in lines)
    assert "over the link." in lines[-1]
