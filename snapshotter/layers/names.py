"""Are the names of a tree legal, and sorted within each directory? For all names at once."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from snapshotter.layers.checks import refuse, refuse_rows
from snapshotter.layers.records import I64, U64, Tree
from snapshotter.limits import Limits

_SLICE: Final = 1 << 20
"""Names compared at once: bounds the working memory."""
_WORD: Final = 8
"""Bytes of names compared at once."""


def check_names(tree: Tree, limits: Limits) -> None:
    """Raise `CorruptError` unless names are legal, unique and sorted in each directory.

    `parent` must not decrease, which is what makes rows of one directory neighbours.
    """
    start, length = name_spans(tree, limits)
    names = np.frombuffer(tree.names, dtype=np.uint8)
    if (names == 0).any() or (names == ord("/")).any():
        raise refuse("names", "hold a NUL or a slash")
    dot = names[start] == ord(".")
    dots = dot & (length == 2) & (names[start + length - 1] == ord("."))
    refuse_rows((dot & (length == 1)) | dots, "names", "is a dot entry")
    neighbours = np.flatnonzero(tree.parent[1:] == tree.parent[:-1])
    # A word at every byte: what is behind a name's end is cut off, but has to be there.
    padded = np.concatenate([names, np.zeros(_WORD, dtype=np.uint8)])
    words = np.ndarray(len(names) + 1, dtype=">u8", buffer=padded, strides=(1,))
    for first in range(0, len(neighbours), _SLICE):
        _check_order(words, start, length, neighbours[first : first + _SLICE])


def name_spans(tree: Tree, limits: Limits) -> tuple[I64, I64]:
    """Return start and length of each name. Raises `CorruptError` where they are not in `names`."""
    end = tree.name_end
    start = np.concatenate([np.zeros(1, dtype=np.uint64), end])[:-1]
    refuse_rows((end <= start) | (end - start > limits.name), "names", "has no legal length")
    total = int(end[-1]) if len(end) else 0
    if total != len(tree.names):
        raise refuse("names", f"are {len(tree.names)} bytes, their lengths add up to {total}")
    return start.astype(np.int64), (end - start).astype(np.int64)


def _check_order(words: npt.NDArray[Any], start: I64, length: I64, rows: I64) -> None:
    """Compare the names of `rows` with those of the next rows, 8 bytes at a time.

    `words`: the word that begins at each byte of all names. Names hold no NUL, so padding with NULs
    keeps their order and equal means identical.
    """
    offset = 0
    while len(rows):
        here = _word_of_each(words, start[rows], length[rows], offset)
        there = _word_of_each(words, start[rows + 1], length[rows + 1], offset)
        wrong = (here > there) | ((here == there) & (length[rows] <= offset))
        if wrong.any():
            raise refuse(f"names[{int(rows[np.argmax(wrong)]) + 1}]", "is not in order")
        rows = rows[here == there]
        offset += _WORD


def _word_of_each(words: npt.NDArray[Any], start: I64, length: I64, offset: int) -> U64:
    """Return 8 bytes from `offset` of each name as a big-endian number, NULs behind its end."""
    left = np.clip(length - offset, 0, _WORD)
    behind = (8 * (_WORD - left)).astype(np.uint64)
    found = words[np.where(left > 0, start + offset, 0)].astype(np.uint64)
    # Shifted by 64 bits a number would be as it was.
    return np.where(left > 0, found >> behind << behind, np.uint64(0))
