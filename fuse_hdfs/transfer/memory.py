"""Bytes in memory as the beginning of a copy."""

import secrets
import time
from typing import Final

from fuse_hdfs.transfer.ends import About

_MODE: Final = 0o644


class MemorySource:
    """Bytes to be written into a file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        # They are nowhere else: an upload that was cut off is not gone on with.
        identity = secrets.token_hex(16)
        self._about = About(
            directory=False,
            size=len(content),
            mode=_MODE,
            modified_ns=time.time_ns(),
            identity=identity,
        )

    @property
    def about(self) -> About:
        """See `Source.about`."""
        return self._about

    async def read(self, offset: int, length: int) -> bytes:
        """See `Source.read`."""
        return self._content[offset : offset + length]
