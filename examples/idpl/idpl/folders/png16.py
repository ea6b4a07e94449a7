"""The first channel of a PNG with 16 bits a channel, as SYNTHIA's labels are.

Pillow reads such files with the upper byte of each channel only; the classes are in the lower one.
Only the bytes of that lane are reconstructed: PNG's filters never mix lanes (PNG specification,
third edition, section 9).
"""

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from idpl.errors import DataError

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type
_LARGEST_SIDE: Final = 16384


def is_16_bit(data: bytes) -> bool:
    """Return whether these are the bytes of a PNG file with 16 bits a channel."""
    return data.startswith(_SIGNATURE) and len(data) > 24 and data[24] == 16


def first_channel(data: bytes) -> NDArray[np.uint8]:
    """Return the lower byte of the first channel [H, W]. Raises `DataError`."""
    header, packed = _chunks(data)
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if depth != 16 or colour not in _CHANNELS or interlace:
        raise DataError(f"PNG of depth {depth}, colour type {colour}, interlace {interlace}")
    if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        raise DataError(f"PNG of {width} x {height}")
    pixel = 2 * _CHANNELS[colour]
    line = 1 + width * pixel
    lines = np.frombuffer(_inflated(packed, height * line), dtype=np.uint8).reshape(height, line)
    return _unfiltered(lines[:, 0], lines[:, 2::pixel])


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """Return the header and all of the packed pixels; every checksum is checked."""
    header, packed, place = b"", [], len(_SIGNATURE)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        body = data[place + 8 : end]
        if zlib.crc32(kind + body) != struct.unpack_from(">I", data, end)[0]:
            raise DataError(f"PNG chunk {kind!r} is damaged")
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            packed.append(body)
        elif kind == b"IEND":
            if len(header) != 13:
                raise DataError("PNG without a header")
            return header, b"".join(packed)
        place = end + 4
    raise DataError("PNG file is cut off")


def _inflated(packed: bytes, size: int) -> bytes:
    try:
        found = zlib.decompressobj().decompress(packed, size)
    except zlib.error as error:
        raise DataError(f"PNG pixels are damaged: {error}") from error
    if len(found) != size:
        raise DataError(f"PNG has {len(found)} bytes of pixels, not {size}")
    return found


def _unfiltered(filters: NDArray[np.uint8], raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    result = np.zeros_like(raw)
    above = np.zeros(raw.shape[1], dtype=np.uint8)
    for row, (kind, line) in enumerate(zip(filters.tolist(), raw, strict=True)):
        match kind:
            case 0:
                above = line
            case 1:
                above = np.cumsum(line, dtype=np.uint8)
            case 2:
                above = line + above
            case 3:
                above = _average(line.tolist(), above.tolist())
            case 4:
                above = _paeth(line.tolist(), above.tolist())
            case _:
                raise DataError(f"PNG row {row} has unknown filter {kind}")
        result[row] = above
    return result


def _average(line: list[int], above: list[int]) -> NDArray[np.uint8]:
    left, found = 0, []
    for value, up in zip(line, above, strict=True):
        left = (value + (left + up) // 2) & 255
        found.append(left)
    return np.array(found, dtype=np.uint8)


def _paeth(line: list[int], above: list[int]) -> NDArray[np.uint8]:
    left = corner = 0
    found = []
    for value, up in zip(line, above, strict=True):
        guess = left + up - corner
        distances = (abs(guess - left), abs(guess - up), abs(guess - corner))
        nearest = (left, up, corner)[distances.index(min(distances))]
        left, corner = (value + nearest) & 255, up
        found.append(left)
    return np.array(found, dtype=np.uint8)
