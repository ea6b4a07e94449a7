"""Writes a small file, or a manifest, where nobody sees it yet.

It is whole in memory, so it is sent again where the machine that it goes to is lost, for as long as
stripes are.
"""

import asyncio
import logging
import secrets
from typing import Final

from fuse_hdfs.files.again import Again
from fuse_hdfs.files.names import UNFINISHED
from fuse_hdfs.stores.store import Store

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 2
"""Times in all where the store says of no other machine."""
_CLEANUP_S: Final = 10.0


async def write_unfinished(store: Store, data: bytes, mode: int, again_s: float) -> str:
    """Write a file under a name of its own; return its path. OSError: as `Store.write`.

    `again_s`: how long it is sent again, at least.
    """
    again = Again(again_s)
    while True:
        path = f"{UNFINISHED}/{secrets.token_hex(16)}"
        try:
            await store.write(path, data, mode=mode)
        except OSError as error:
            await remove_unfinished(store, path)
            pause = again.pause(error)
            if pause is None or not await _may_go_elsewhere(store, again):
                raise
            fields = {"path": path, "reason": str(error)}
            log.warning("file.again", extra={"fields": fields})
            store.traffic.retries += 1
            await asyncio.sleep(pause)
        except BaseException:
            await remove_unfinished(store, path)
            raise
        else:
            return path


async def _may_go_elsewhere(store: Store, again: Again) -> bool:
    """Say whether there are other machines, as far as the store, which is waited for, answers."""
    try:
        return bool(await store.places()) or again.failed < _ATTEMPTS
    except OSError:
        return False


async def remove_unfinished(store: Store, path: str) -> None:
    """Clean up after a failure, which is what is raised."""
    try:
        async with asyncio.timeout(_CLEANUP_S):
            await store.remove(path)
    except (OSError, TimeoutError) as error:
        log.debug("cleanup.failed", extra={"fields": {"reason": str(error)}})
