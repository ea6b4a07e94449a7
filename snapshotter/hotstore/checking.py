"""Records as they come out of a store: hostile until they were decoded and looked at."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from bootseer.errors import CorruptError, NotFoundError
from bootseer.together import together
from snapshotter.hot.record import Record
from snapshotter.hot.record_format import decode
from snapshotter.limits import Limits
from snapshotter.ports import ImageKey

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE: Final = 8
"""Requests to a store under way for one question."""
_BLOCKS: Final = 2
"""Blocks in all records together, as a multiple of the limit of one: `merge` takes no more."""


def read_record(data: bytes, image: ImageKey, workload: str, limits: Limits) -> Record:
    """Return the record in a file, which is of this image and workload.

    Raises:
        CorruptError: it is none, or of something else.
    """
    record = decode(data, limits)
    if record.manifest_digest != image.manifest_digest:
        raise CorruptError(f"hot record: it is of image {record.manifest_digest}")
    if record.workload != workload:
        raise CorruptError(f"hot record: it is of workload {record.workload!r}, not {workload!r}")
    return record


async def gather_records(
    names: Sequence[str],
    fetch: Callable[[str], Awaitable[bytes]],
    image: ImageKey,
    workload: str,
    limits: Limits,
) -> list[Record]:
    """Return the valid ones of the records that a store has under these names, in their order.

    `fetch` gets the bytes under a name. What is gone, or is no record of this image and workload,
    is logged and passed over. Names past `Limits.hot_runs`, and past more blocks than can be
    merged, are not read.

    Raises:
        RemoteError, HostError: as `fetch` does.
    """

    async def one(name: str) -> Record | None:
        try:
            data = await fetch(name)
            return await asyncio.to_thread(read_record, data, image, workload, limits)
        except (CorruptError, NotFoundError) as error:
            fields = {"record": name, "image": image.manifest_digest, "reason": error.message}
            log.warning("hot.record.unusable", extra={"fields": fields})
            return None

    found: list[Record] = []
    blocks = 0
    for start in range(0, min(len(names), limits.hot_runs), AT_ONCE):
        some = names[start : min(start + AT_ONCE, limits.hot_runs)]
        for record in await together(one, some, AT_ONCE):
            if record is None:
                continue
            blocks += record.ranges.blocks
            if found and blocks > _BLOCKS * limits.hot_blocks:
                return found
            found.append(record)
    return found
