"""`scripts/bench hot`: starts with hot blocks, against what is possible and against starts without.

Everything on one machine, in one run, compared in turn: links of three speeds and three delays, a
new node for every start, so page cache and chunk cache are empty. One start is recorded first, and
packed; every later one finds that in the registry.
"""

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

from benchmarks.command import bench_command
from benchmarks.figures import Figure
from benchmarks.images.demo import DemoImage, demo_image
from benchmarks.images.oci_layout import layout_manifest
from benchmarks.lab import demo, hotblocks, starts
from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.hotblocks import Published
from benchmarks.lab.netns import network
from benchmarks.lab.registry import registry
from benchmarks.lab.workdir import work_directory
from benchmarks.measure import (
    hot_layouts,
    hot_links,
    hot_record,
    hot_sweeps,
    local_start,
    peers,
)
from benchmarks.measure.hot_place import Place
from benchmarks.measure.local_start import LocalStarts
from benchmarks.parts import attempt, measured
from snapshotter.hot.record import Record
from tooling.progress import doing, say

_IMAGE = "demo:latest"


class Bench:
    """Where to measure, and what several parts need: measured when the first of them asks."""

    def __init__(self, place: Place, image: DemoImage, published: Published) -> None:
        self.place = place
        self.image = image
        self._published = published

    @cached_property
    def local(self) -> LocalStarts:
        """Starts with everything local."""
        place = self.place
        directory = place.directory / "local"
        return local_start.measure(
            place.net, directory, place.server.host, place.reference, place.command, place.runs
        )

    @cached_property
    def pack(self) -> hot_record.HotPack:
        """The pack that every start fetches."""
        return hot_record.read_pack(hotblocks.pack_file(self.place.server, self._published))

    @cached_property
    def second(self) -> tuple[Record, Path]:
        """The record of another start, made over the slow link, and the store it is alone in."""
        place = self.place
        place.net.set_rate(hot_links.SLOW)
        try:
            with doing("recording a second start"):
                return hot_record.record_a_start(place, self._published.manifest_digest)
        finally:
            place.net.set_rate(None)


def measure_local(bench: Bench) -> list[Figure]:
    """Start with everything local, page cache cold, against overlayfs on ext4."""
    return bench.local.figures()


def measure_records(bench: Bench) -> list[Figure]:
    """Compare what two starts touch."""
    return hot_record.figures(bench.pack, bench.second[0])


def measure_links(bench: Bench) -> list[Figure]:
    """Start over every link."""
    place = bench.place
    local = place.directory / "beside"
    with local_start.local_node(place.net, local, place.server.host, place.reference) as node:

        def start() -> float:
            return local_start.seconds(node, place.reference, starts.EAGER, place.command)

        start()  # what a first start alone does
        found = hot_links.measure(place, start)
    hot_bytes = attempt("hot blocks", lambda: float(bench.pack.compressed))
    return hot_links.figures(found, hot_bytes)


def measure_recording(bench: Bench) -> list[Figure]:
    """Weigh what recording costs."""
    return hot_layouts.measure_recording(bench.place)


def measure_layouts(bench: Bench) -> list[Figure]:
    """Compare the hot layout with the natural one."""
    return hot_layouts.measure_layouts(bench.place, bench.second[1])


def measure_sweeps(bench: Bench) -> list[Figure]:
    """Try windows, sizes of blocks and frames, and read-aheads."""
    record = bench.second[0]
    layers = [layer["digest"] for layer in layout_manifest(bench.image.layout)["layers"]]
    blobs = [bench.image.layout / "blobs" / digest.replace(":", "/") for digest in layers]
    areas = hot_sweeps.data_areas(blobs, bench.place.directory / "areas")
    return [
        *hot_sweeps.windows(record),
        *hot_sweeps.block_sizes(record, areas),
        *hot_sweeps.packs(record, areas, bench.place.directory),
        *hot_sweeps.read_aheads(bench.place),
    ]


def measure_peers(bench: Bench) -> list[Figure]:
    """Start by other snapshotters, as far as they can be had here."""
    return peers.measure(bench.place, bench.image.layout, bench.place.reference)


PARTS: dict[str, Callable[[Bench], list[Figure]]] = {
    "local": measure_local,
    "records": measure_records,
    "links": measure_links,
    "recording": measure_recording,
    "layouts": measure_layouts,
    "sweeps": measure_sweeps,
    "peers": measure_peers,
}


def run(runs: int, parts: tuple[str, ...]) -> list[Figure]:
    """Set the laboratory up, record and pack a start, measure, take it down."""
    with doing("the demo image"):
        image = demo_image(say)
    job = demo.Job(f"oci:{image.layout}:demo", "demo", image.command)
    with undo_stack() as stack:
        directory = stack.enter_context(work_directory())
        net = stack.enter_context(network(None))
        server = stack.enter_context(registry(net, directory / "registry"))
        demo.publish(job, net, server.host)
        place = Place(directory, net, server, _IMAGE, image.command, runs)
        bench = Bench(place, image, record_and_pack(place))
        found = [measured(part, partial(PARTS[part], bench)) for part in parts]
        return [figure for figures in found for figure in figures]


def record_and_pack(place: Place) -> Published:
    """Start the image once, and make the pack of what that touched. Raises `HostError`."""
    with doing("recording a start"), place.node("") as node:
        place.start(node)
        hotblocks.end_recordings(node)
    with doing("packing its hot blocks"):
        hotblocks.make_pack(place.net, place.reference)
    return hotblocks.published(place.net, place.reference)


main = bench_command(
    "hot blocks",
    "Measure starts with hot blocks: bytes, seconds, what is prefetched in vain, what it costs.",
    PARTS,
    run,
)

if __name__ == "__main__":
    main()
