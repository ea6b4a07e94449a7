"""Pictures and label maps from files, by Pillow, which is asked for only here."""

import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idpl.errors import DataError
from idpl.folders import png16
from idpl.folders.mapping import UNKNOWN

Size = tuple[int, int]
"""Height and width."""


def _pillow() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise DataError("reading pictures needs Pillow", hint="Debian: python3-pil") from error


def read_picture(path: Path, size: Size) -> tuple[NDArray[np.uint8], Size]:
    """Return a picture [H, W, 3] scaled to `size`, and its own size. Raises `DataError`."""
    image = _open(path, path.read_bytes() if path.is_file() else b"")
    own = (image.height, image.width)
    scaled = image.convert("RGB").resize((size[1], size[0]), _pillow().BILINEAR)
    return np.array(scaled, dtype=np.uint8), own


def read_label(path: Path, size: Size, table: NDArray[np.uint8], own: Size) -> NDArray[np.uint8]:
    """Return a label map [H, W] of classes, scaled to `size`. Raises `DataError`.

    `own` is the size of the picture that it belongs to, which must be its own.
    """
    data = path.read_bytes() if path.is_file() else b""
    ids = _ids(path, data)
    if ids.shape != own:
        raise DataError(
            f"{path}: labels are {ids.shape[1]} x {ids.shape[0]},"
            f" their picture {own[1]} x {own[0]}",
            hint="are these files of the same data set?",
        )
    classes = table[ids]
    if (unknown := ids[classes == UNKNOWN]).size:
        raise DataError(
            f"{path}: label {int(unknown[0])} is none of this data set's",
            hint="labels are wanted as ids, not as colours or train ids",
        )
    rows = (np.arange(size[0]) * own[0] + own[0] // 2) // size[0]
    columns = (np.arange(size[1]) * own[1] + own[1] // 2) // size[1]
    return np.ascontiguousarray(classes[rows.clip(max=own[0] - 1)][:, columns.clip(max=own[1] - 1)])


def _ids(path: Path, data: bytes) -> NDArray[np.uint8]:
    if png16.is_16_bit(data):
        try:
            return png16.first_channel(data)
        except DataError as error:
            raise DataError(f"{path}: {error}", hint="get the file again") from error
    image = _open(path, data)
    if image.mode not in {"L", "P"}:
        raise DataError(
            f"{path}: a picture of mode {image.mode}, not of ids", hint="8 bits, one channel"
        )
    return np.array(image, dtype=np.uint8)


def _open(path: Path, data: bytes) -> Any:
    pillow = _pillow()
    try:
        image = pillow.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, pillow.DecompressionBombError) as error:
        raise DataError(f"{path}: not a whole picture: {error}", hint="get the file again") from (
            error
        )
    return image
