"""Inflate windows, kept sparse: only the bytes that are referred to.

A window is the 32 KiB before a checkpoint. Deflate refers back 32 KiB at most, so only the first
32 KiB behind the checkpoint can refer into it, and they use a small part. Everything else may be
zeros, which compress to nothing.

Which bytes those are is found without a deflate decoder: what a stream copies does not depend on
what the bytes are, so the beginning of the span is inflated twice with windows of *markers* in
place of the real one. An output byte that differs between the two came from the window, however
many copies later, and the pair of values tells from where.
"""

from typing import Final

import numpy as np
import zstandard

from bootseer.errors import CorruptError
from snapshotter.layers.deflate import WINDOW, entered, inflate_span
from snapshotter.layers.records import U8
from snapshotter.limits import DEFAULT, Limits

LOOKAHEAD: Final = 40 << 10
"""Compressed bytes behind a checkpoint that hold 32 KiB of output, unless badly compressed."""

_LEVEL: Final = 3
"""A window takes a quarter of the time that level 9 does, and 6 % more bytes."""

_place = np.arange(WINDOW, dtype=np.uint16)
_low = (_place & 0xFF).astype(np.uint8)
# The difference between the two markers is 1 + the high byte of the position: 1 to 128.
_other = _low + (_place >> 8).astype(np.uint8) + np.uint8(1)


def referenced(compressed: bytes, bits: int, size: int) -> U8 | None:
    """Return which of a window's `size` bytes a span refers to: one 0 or 1 each.

    None if `compressed` does not reach far enough to tell. Raises `CorruptError`.
    """
    span = entered(compressed, bits)
    first, left = inflate_span(span, 0, _low[:size].tobytes(), WINDOW)
    if len(first) < WINDOW and left < 0:
        return None
    second, _ = inflate_span(span, 0, _other[:size].tobytes(), WINDOW)
    # Of each byte: low and high half of the place it came from; a literal's is beyond all windows.
    places = np.empty((len(first), 2), dtype=np.uint8)
    places[:, 0] = low = np.frombuffer(first, dtype=np.uint8)
    places[:, 1] = np.frombuffer(second, dtype=np.uint8) - low - np.uint8(1)
    used = np.zeros(1 << 16, dtype=np.uint8)
    used[places.view("<u2")[:, 0].astype(np.intp)] = 1
    return used[:size]


def sparse(window: bytes, compressed: bytes, bits: int) -> bytes:
    """Return the window with the bytes that the span at `compressed` never uses set to zero.

    Unused bytes at its beginning are left out, so a span that refers to nothing has no window.
    Inflating the span with it gives the same as with the whole one. Raises `CorruptError`.
    """
    used = referenced(compressed, bits, len(window))
    if used is None:
        return window
    if not used.any():
        return b""
    kept = np.frombuffer(window, dtype=np.uint8) * used
    return kept[int(used.argmax()) :].tobytes()


def pack(window: bytes) -> bytes:
    """Return the window as the windows blob holds it: a zstd frame; nothing for an empty one."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(window) if window else b""


def unpack(frame: bytes, limits: Limits = DEFAULT) -> bytes:
    """Return a window from the windows blob.

    Raises:
        CorruptError: the frame is damaged, or larger than a window may be.
    """
    if not frame:
        return b""
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        # The library allocates what the frame says, so look before.
        if size > limits.window:
            raise CorruptError(f"inflate window of {size} bytes, {limits.window} are allowed")
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptError(f"inflate window is damaged: {error}") from error
