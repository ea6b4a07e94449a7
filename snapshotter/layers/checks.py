"""Refuse a column of a layer index, naming section, field and row."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bootseer.errors import CorruptError

HINT = "the index is damaged or hostile: index the layer again"


def refuse(field: str, what: str) -> CorruptError:
    """Return the error for a field (`section.column`)."""
    return CorruptError(f"layer index: {field} {what}", hint=HINT)


def refuse_rows(bad: npt.NDArray[np.bool_], field: str, what: str) -> None:
    """Raise `CorruptError` for the first row marked bad, if any is."""
    if bad.any():
        raise refuse(f"{field}[{int(np.argmax(bad))}]", what)


def same_length(section: str, count: int, **columns: npt.NDArray[Any]) -> None:
    """Raise `CorruptError` unless every column has `count` rows."""
    for name, column in columns.items():
        if len(column) != count:
            raise refuse(f"{section}.{name}", f"has {len(column)} rows, expected {count}")


def at_most(field: str, value: int, limit: int) -> None:
    """Raise `CorruptError` when a count or size is over its limit."""
    if value > limit:
        raise refuse(field, f"is {value}, the limit is {limit}")
