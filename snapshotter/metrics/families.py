"""Which metrics a node's numbers are. Pure. `docs/metrics.md` explains each of them.

No label names a layer, an image or a host: how many time series there are does not depend on what
a node runs.
"""

from collections.abc import Mapping
from typing import Any

from bootseer.metrics.exposition import Family, Sample, counter, gauge
from bootseer.metrics.process import process_families
from snapshotter.chunks.reads import Source
from snapshotter.metrics.numbers import NodeNumbers
from snapshotter.registry.statistics import KINDS
from snapshotter.serving.fill import FillStage
from snapshotter.serving.filling import Pause


def families(numbers: NodeNumbers) -> list[Family]:
    """Return all metrics of a node."""
    parts = (_reads, _fetches, _hot, _fill, _layers, _registry, _dependencies)
    found = [family for part in parts for family in part(numbers)]
    return found + process_families(numbers.version, numbers.process)


def _reads(numbers: NodeNumbers) -> list[Family]:
    areas = {"layer": numbers.layer_reads, "hot": numbers.hot_reads}
    page_cache = numbers.page_cache
    return [
        counter(
            "bootseer_reads_total",
            "Reads of block files that the kernel sent, by what their bytes had to wait for.",
            *_by_source({area: one.reads for area, one in areas.items()}),
        ),
        counter(
            "bootseer_read_bytes_total",
            "Bytes that these reads were answered with.",
            *_by_source({area: one.bytes for area, one in areas.items()}),
        ),
        counter(
            "bootseer_read_seconds_total",
            "Time from request to answer, summed over these reads.",
            *_by_source({area: one.seconds for area, one in areas.items()}),
        ),
        counter(
            "bootseer_failed_reads_total",
            "Reads of block files that ended in an I/O error.",
            *(Sample(one.failed, {"area": area}) for area, one in areas.items()),
        ),
        counter(
            "bootseer_page_cache_bytes_total",
            "Bytes of hot areas put into the kernel's page cache before anybody asked for them.",
            Sample(page_cache.stored_bytes, {"outcome": "stored"}),
            Sample(page_cache.refused_bytes, {"outcome": "refused"}),
        ),
    ]


def _fetches(numbers: NodeNumbers) -> list[Family]:
    fetches = numbers.fetches
    purposes = _by("purpose", fetches.fetched)
    return [
        counter(
            "bootseer_fetched_bytes_total",
            "Compressed bytes of layers and hot packs that were fetched, by what for.",
            *purposes,
            Sample(numbers.feeds.bytes, {"purpose": "pack"}),
        ),
        counter("bootseer_chunk_requests_total", "Requests for chunks.", Sample(fetches.fetches)),
        counter(
            "bootseer_failed_chunks_total",
            "Chunks that could not be had, or were not what their index says.",
            Sample(fetches.failures),
        ),
    ]


def _hot(numbers: NodeNumbers) -> list[Family]:
    hot, feeds, starts = numbers.hot, numbers.feeds, numbers.starts
    return [
        counter(
            "bootseer_starts_total",
            "How containers were to start: twice for one whose labels or pod name a workload.",
            *_by("course", starts.courses),
        ),
        counter(
            "bootseer_records_total",
            "Recordings of starts that are over, by what became of them.",
            *_by("outcome", starts.records),
        ),
        gauge("bootseer_recordings", "Starts being recorded.", Sample(hot.recordings)),
        gauge("bootseer_prefetches", "Images being prefetched.", Sample(hot.prefetches)),
        counter(
            "bootseer_prefetched_bytes_total",
            "Bytes of hot areas that prefetching brought.",
            Sample(feeds.brought),
        ),
        counter(
            "bootseer_hot_frames_total",
            "Frames of hot packs that landed.",
            Sample(feeds.frames),
        ),
        counter(
            "bootseer_hot_frames_rushed_total",
            "Frames of hot packs that were fetched out of turn, for a read that waited.",
            Sample(feeds.rushed),
        ),
        gauge("bootseer_hot_bytes", "Size of the open hot areas.", Sample(hot.size)),
        gauge(
            "bootseer_hot_missing_bytes",
            "Bytes of the open hot areas that are not on this node.",
            Sample(hot.missing),
        ),
        gauge(
            "bootseer_hot_measured_bytes",
            "Size of those of them of which it is known what their first start used.",
            Sample(hot.measured),
        ),
        gauge(
            "bootseer_hot_unused_bytes",
            "Bytes of these that were prefetched, and not read by that start.",
            Sample(hot.unused),
        ),
    ]


def _fill(numbers: NodeNumbers) -> list[Family]:
    fill = numbers.fill
    return [
        gauge(
            "bootseer_fill_stage",
            "1 for what the background fill does now.",
            *(Sample(stage is fill.stage, {"stage": stage}) for stage in FillStage),
        ),
        gauge(
            "bootseer_fill_paused",
            "1 for the reason why the background fill waits now.",
            *(Sample(why is fill.paused, {"reason": why.name.lower()}) for why in Pause),
        ),
        gauge(
            "bootseer_missing_chunks",
            "Chunks that the open layers lack.",
            Sample(fill.chunks_left),
        ),
    ]


def _layers(numbers: NodeNumbers) -> list[Family]:
    layers, audits = numbers.layers, numbers.audits
    states = {"fetching": layers.fetching, "local": layers.local, "poisoned": layers.poisoned}
    return [
        gauge("bootseer_layers", "Open layers, by state.", *_by("state", states)),
        gauge("bootseer_mounts", "Mounts of layers in use.", Sample(layers.mounts)),
        gauge(
            "bootseer_cache_disk_bytes",
            "What the caches of the open layers take of the disk.",
            Sample(layers.disk_bytes),
        ),
        counter(
            "bootseer_checked_layers_total",
            "Layers that were checked as a whole, by verdict.",
            Sample(audits.passed, {"verdict": "passed"}),
            Sample(audits.poisoned, {"verdict": "poisoned"}),
        ),
        gauge(
            "bootseer_poisoned_indexes",
            "Indexes that this node knows to lie.",
            Sample(numbers.poisoned_indexes),
        ),
    ]


def _registry(numbers: NodeNumbers) -> list[Family]:
    statistics = numbers.registry
    sent, received = statistics.sent, statistics.received
    return [
        counter(
            "bootseer_registry_requests_total",
            "HTTP requests sent to registries and mirrors.",
            *(Sample(statistics.requests[kind], {"kind": kind}) for kind in KINDS),
        ),
        counter(
            "bootseer_registry_received_bytes_total",
            "Bytes of bodies received from them.",
            *(Sample(received[kind], {"kind": kind}) for kind in KINDS),
        ),
        counter(
            "bootseer_registry_sent_bytes_total",
            "Bytes of bodies sent to them.",
            *(Sample(sent[kind], {"kind": kind}) for kind in KINDS),
        ),
        counter(
            "bootseer_registry_retries_total",
            "Failures of theirs after which somebody was asked again.",
            Sample(statistics.retries),
        ),
        counter(
            "bootseer_registry_resumed_total",
            "Downloads that broke and went on where they had stopped.",
            Sample(statistics.resumed),
        ),
        counter(
            "bootseer_registry_ignored_ranges_total",
            "Requests for a range that were answered with the whole blob.",
            Sample(statistics.ranges_ignored),
        ),
        counter(
            "bootseer_registry_discarded_bytes_total",
            "Bytes received because of that, and thrown away.",
            Sample(statistics.discarded),
        ),
    ]


def _dependencies(numbers: NodeNumbers) -> list[Family]:
    dependencies = numbers.dependencies
    requests = dependencies.requests
    return [
        gauge(
            "bootseer_dependency_mounts",
            "Mounted dependency snapshots in use.",
            Sample(dependencies.mounts),
        ),
        counter(
            "bootseer_dependency_mount_requests_total",
            "Requests to mount a dependency snapshot, by what came of them.",
            *_by("outcome", requests.outcomes),
        ),
        counter(
            "bootseer_dependency_mount_seconds_total",
            "Time from request to mount, summed over those that were mounted.",
            Sample(requests.seconds),
        ),
    ]


def _by(label: str, values: Mapping[Any, float]) -> list[Sample]:
    """Return one sample for each key, whose text is the label's value."""
    return [Sample(value, {label: str(key)}) for key, value in values.items()]


def _by_source(areas: Mapping[str, Mapping[Source, float]]) -> list[Sample]:
    return [
        Sample(value, {"area": area, "source": str(source)})
        for area, counts in areas.items()
        for source, value in counts.items()
    ]
