"""Random records of start-ups."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.layers.records import BLOCK

MANIFEST = "sha256:" + "5" * 64
WINDOW_MS = 60_000


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def layer(number: int, blocks: int, index: int = 0) -> HotLayer:
    return HotLayer(digest(number), digest(1000 + index), blocks * BLOCK)


LAYERS = (layer(1, 40), layer(2, 0), layer(3, 300), layer(4, 1))


def record(
    rows: list[tuple[int, int, int]], layers: tuple[HotLayer, ...] = LAYERS, **fields
) -> Record:
    """Return a valid record of (layer, first block, count) rows, a millisecond apart."""
    whole = Record(
        manifest_digest=MANIFEST,
        workload="",
        created=1_700_000_000,
        window_ms=WINDOW_MS,
        length_ms=WINDOW_MS,
        ended=Ended.WINDOW,
        kernel="6.18.0",
        architecture="x86_64",
        layers=layers,
        ranges=make_ranges(rows),
        time_ms=np.arange(len(rows), dtype=np.int64),
    )
    return replace(whole, **fields)


@st.composite
def rows(draw, layers: tuple[HotLayer, ...] = LAYERS) -> list[tuple[int, int, int]]:
    """Draw ranges that do not overlap, in any order."""
    found = []
    for number, one in enumerate(layers):
        cuts = sorted(draw(st.sets(st.integers(0, one.blocks), max_size=8)))
        pairs = zip(cuts[::2], cuts[1::2], strict=False)
        found += [(number, start, stop - start) for start, stop in pairs]
    return draw(st.permutations(found))


_texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=40)


@st.composite
def records(draw, **fields) -> Record:
    """Draw a valid record."""
    layers = draw(
        st.sampled_from([LAYERS, LAYERS[:1], LAYERS[::-1], (), (*LAYERS, layer(1, 40, 9))])
    )
    drawn = draw(rows(layers))
    times = sorted(
        draw(st.lists(st.integers(0, WINDOW_MS), min_size=len(drawn), max_size=len(drawn)))
    )
    made = record(
        drawn,
        layers,
        workload=draw(_texts),
        created=draw(st.integers(0, 2**40)),
        ended=draw(st.sampled_from(Ended)),
        kernel=draw(_texts),
        time_ms=np.array(times, dtype=np.int64),
    )
    return replace(made, **fields)


def same(one: Record, other: Record) -> bool:
    """Compare two records; arrays have no plain equality."""
    plain = ("manifest_digest", "workload", "created", "window_ms", "length_ms", "ended", "kernel")
    plain += ("architecture", "layers")
    columns = (
        (one.ranges.layer, other.ranges.layer),
        (one.ranges.first, other.ranges.first),
        (one.ranges.count, other.ranges.count),
        (one.time_ms, other.time_ms),
    )
    return all(getattr(one, name) == getattr(other, name) for name in plain) and all(
        a.tolist() == b.tolist() for a, b in columns
    )
