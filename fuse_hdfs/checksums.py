"""CRC-32C (Castagnoli, RFC 3720), with the processor's instruction for it."""

import google_crc32c


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """Return the checksum of some bytes."""
    return int(google_crc32c.value(bytes(data) if not isinstance(data, bytes) else data))
