"""A small image whose hot blocks are known, with names nobody should trust."""

from dataclasses import replace

import numpy as np

from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Ended, HotLayer, Record
from snapshotter.hot.report import Detail, HotReport, ImageLayer, make_report
from snapshotter.layers.records import BLOCK
from tests.layer_strategies import directory, make_index, make_tree, regular

MANIFEST = f"sha256:{5:064x}"
HOSTILE = b"</script><script>window.caught = 1</script><img src=x onerror='window.caught = 2'>"
RAW = b"raw-\xff\xfe-\xe2\x80\xae"
"""Neither UTF-8 nor, at its end, something that should reach a reader's eyes: it turns text."""

_SHARED = regular(3 * BLOCK)
_BASE = make_index(
    make_tree(
        directory(
            {
                b"bin": directory({b"sh": _SHARED, b"python": regular(20 * BLOCK)}),
                b"busybox": _SHARED,
                b"dark": directory({HOSTILE.replace(b"/", b"|"): regular(2 * BLOCK)}),
                b"unused": regular(600 * BLOCK),
            }
        )
    )
)
_TOP = make_index(make_tree(directory({b"train.py": regular(100), RAW: regular(BLOCK)})))
_QUIET = make_index(make_tree(directory({b"never": regular(9 * BLOCK)})))


def _digest(number: int) -> str:
    return f"sha256:{number:064x}"


IMAGE = tuple(
    ImageLayer(_digest(number), _digest(10 + number), index)
    for number, index in enumerate((_BASE, _TOP, _QUIET), 1)
)
LAYERS = tuple(
    HotLayer(one.digest, str(one.index_digest), one.index.data_size) for one in IMAGE if one.index
)


_AT = {
    size // BLOCK: int(at) // BLOCK
    for size, at in zip(
        _BASE.tree.inodes.size.tolist(), _BASE.tree.inodes.data.tolist(), strict=True
    )
}
"""Where in the base layer the file of so many blocks starts, in blocks."""


def small_record(**fields: object) -> Record:
    """Return the record of a start that touched `busybox`, half of `python`, and all odd names."""
    rows = [(0, _AT[3], 3), (0, _AT[20], 10), (0, _AT[2], 2), (1, 0, 1), (1, 1, 1)]
    made = Record(
        manifest_digest=MANIFEST,
        workload="",
        created=1_700_000_000,
        window_ms=60_000,
        length_ms=30_000,
        ended=Ended.QUIET,
        kernel="6.18.0",
        architecture="x86_64",
        layers=LAYERS,
        ranges=make_ranges(rows),
        time_ms=np.array([0, 250, 500, 1500, 2000], dtype=np.int64),
    )
    return replace(made, **fields)


def small_report(detail: Detail | None = None) -> HotReport:
    """Return the report on that start."""
    return make_report([small_record()], IMAGE, detail)


def many_files_report(files: int) -> HotReport:
    """Return the report on a start that read many files of one block."""
    names = {b"%04d" % number: regular(BLOCK) for number in range(files)}
    index = make_index(make_tree(directory(names)))
    layer = HotLayer(_digest(1), _digest(11), index.data_size)
    ranges = make_ranges([(0, 0, files)])
    record = small_record(layers=(layer,), ranges=ranges, time_ms=np.zeros(1, dtype=np.int64))
    return make_report([record], [ImageLayer(_digest(1), _digest(11), index)])
