"""CRC-32C (Castagnoli, RFC 3720), with the processor's instruction for it."""

import google_crc32c


def crc32c(*pieces: bytes | bytearray | memoryview) -> int:
    """Return the checksum of bytes that follow each other."""
    found = 0
    for piece in pieces:
        whole = piece if isinstance(piece, bytes) else bytes(piece)
        found = int(google_crc32c.extend(found, whole))
    return found
