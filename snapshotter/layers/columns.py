"""Columns of integers as bytes that compress well. Pure arithmetic, both ways.

A column is stored as byte planes (all lowest bytes, then all second bytes, ...), because the high
bytes of sizes and offsets are nearly all zero. A column that climbs is first replaced by its
differences, zigzag coded (0, -1, 1, -2, ... become 0, 1, 2, 3, ...).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snapshotter.layers.records import U8, U64


@dataclass(frozen=True, slots=True)
class Column:
    """Name, numpy type (unsigned) and transform of a column."""

    name: str
    dtype: str
    delta: bool = False


def zigzag(values: U64) -> U64:
    """Fold two's complement differences into small unsigned numbers."""
    sign = np.where(values >> np.uint64(63), ~np.uint64(0), np.uint64(0))
    return (values << np.uint64(1)) ^ sign


def unzigzag(values: U64) -> U64:
    """Undo `zigzag`."""
    return (values >> np.uint64(1)) ^ (np.uint64(0) - (values & np.uint64(1)))


def pack(columns: Sequence[Column], values: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the columns one behind the other; every value must fit its column's type."""
    return b"".join(_pack_one(column, values[column.name]) for column in columns)


def _pack_one(column: Column, values: npt.NDArray[Any]) -> bytes:
    if column.delta:
        wide = values.astype(np.uint64)
        values = zigzag(np.diff(wide, prepend=np.zeros(1, dtype=np.uint64)))
    narrow = values.astype(np.dtype(column.dtype).newbyteorder("<"))
    return narrow.view(np.uint8).reshape(len(values), narrow.itemsize).T.tobytes()


def size_of(columns: Sequence[Column], count: int) -> int:
    """Return how many bytes `count` rows of the columns take."""
    return count * sum(np.dtype(column.dtype).itemsize for column in columns)


def unpack(columns: Sequence[Column], data: U8, count: int) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of `data`, which holds exactly `size_of(columns, count)` bytes.

    Sums of differences wrap around at 64 bits: check the values.
    """
    values: dict[str, npt.NDArray[Any]] = {}
    for column in columns:
        dtype = np.dtype(column.dtype).newbyteorder("<")
        part, data = np.split(data, [count * dtype.itemsize])
        rows = np.ascontiguousarray(part.reshape(dtype.itemsize, count).T).reshape(-1)
        values[column.name] = rows.view(dtype)
        if column.delta:
            values[column.name] = np.cumsum(
                unzigzag(rows.view(dtype).astype(np.uint64)), dtype=np.uint64
            )
    return values
