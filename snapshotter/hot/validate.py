"""Everything that must hold of a record, whoever made it. Vectorised."""

from typing import Final

import numpy as np
import numpy.typing as npt

from bootseer.digests import is_digest
from bootseer.errors import CorruptError
from snapshotter.hot.ranges import check_ranges
from snapshotter.hot.record import HotLayer, Record
from snapshotter.layers.records import BLOCK
from snapshotter.limits import Limits

_HINT: Final = "the record is damaged or hostile: record the start again"
_MOST_MS: Final = (1 << 32) - 1
_MOST_S: Final = 1 << 40


def refuse(field: str, what: str) -> CorruptError:
    """Return the error for a field of a record."""
    return CorruptError(f"hot record: {field} {what}", hint=_HINT)


def _refuse_rows(bad: npt.NDArray[np.bool_], field: str, what: str) -> None:
    if bad.any():
        raise refuse(f"ranges.{field}[{int(np.argmax(bad))}]", what)


def check_record(record: Record, limits: Limits) -> None:
    """Raise `CorruptError`, naming the field, unless the record is valid."""
    _check_head(record, limits)
    check_layers(record.layers, limits)
    ranges = record.ranges
    if not len(ranges.layer) == len(ranges.first) == len(ranges.count) == len(record.time_ms):
        raise refuse("ranges", "have columns of different length")
    sizes = np.array([layer.blocks for layer in record.layers], dtype=np.int64)
    for name in ("layer", "first", "count"):
        _refuse_rows(getattr(ranges, name) < 0, name, "is negative")
    check_ranges(ranges, sizes, limits.hot_blocks, _refuse_rows)
    time = record.time_ms
    _refuse_rows((time < 0) | (time > record.length_ms), "time_ms", "is outside the recording")
    _refuse_rows(np.append(False, np.diff(time) < 0)[: len(time)], "time_ms", "goes back")


def _check_head(record: Record, limits: Limits) -> None:
    if not is_digest(record.manifest_digest):
        raise refuse("manifest_digest", "is not a digest")
    for name, most in (("created", _MOST_S), ("window_ms", _MOST_MS), ("length_ms", _MOST_MS)):
        if not 0 <= getattr(record, name) <= most:
            raise refuse(name, f"is not between 0 and {most}")
    for name in ("workload", "kernel", "architecture"):
        text: str = getattr(record, name)
        if len(text.encode(errors="replace")) > limits.hot_text or not text.isprintable():
            raise refuse(name, f"is not printable or longer than {limits.hot_text} bytes")


def check_layers(layers: tuple[HotLayer, ...], limits: Limits) -> None:
    """Raise `CorruptError` unless these can be the layers of one image."""
    if len(layers) > limits.layers:
        raise refuse("layers", f"are {len(layers)}, the limit is {limits.layers}")
    for row, layer in enumerate(layers):
        if not is_digest(layer.layer_digest) or not is_digest(layer.index_digest):
            raise refuse(f"layers[{row}]", "is not named by digests")
        if not 0 <= layer.data_size <= limits.data_area or layer.data_size % BLOCK:
            raise refuse(f"layers[{row}].data_size", "is not the size of a data area")
    if len(set(layers)) < len(layers):
        raise refuse("layers", "has a layer twice")
