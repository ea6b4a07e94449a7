"""Looks for packs and records of an image in all stores. Nothing is kept between calls."""

import asyncio
import logging
from typing import Final

from bootseer.errors import BootseerError
from snapshotter.ports import HotStore
from snapshotter.starts.course import Known
from snapshotter.starts.hotimage import HotImage, HotServices

log = logging.getLogger(__name__)

_LOOK_S: Final = 10.0
"""How long the stores may take to say what they have."""
RECORD_SOURCE: Final = "record:"
"""Prefix of a source that is no pack."""


async def search(
    hot: HotImage, services: HotServices, *, packs_too: bool = True
) -> tuple[Known | None, HotStore]:
    """Ask every store; return where the pack is as well.

    None if nothing was found and one of them could not say.
    """
    stores = services.stores
    # A pack fills hot areas, nothing else.
    packs_too = packs_too and not services.policy.in_place
    answers = await asyncio.gather(*(_ask(one, hot, packs_too) for one in stores))
    known = [(answer, store) for answer, store in zip(answers, stores, strict=True) if answer]
    packs = [(answer.pack, store) for answer, store in known if answer.pack]
    if packs:
        best, store = max(packs, key=lambda pair: (pair[0].runs, pair[0].created))
        return Known(best), store
    records = [record for answer, _ in known for record in answer.records]
    sure = records or len(known) == len(stores)
    return Known(None, tuple(records)) if sure else None, stores[0]


async def _ask(store: HotStore, hot: HotImage, packs_too: bool) -> Known | None:
    try:
        async with asyncio.timeout(_LOOK_S):
            pack = await store.pack(hot.image, hot.workload) if packs_too else None
            if pack is not None:
                return Known(pack)
            return Known(None, await store.records(hot.image, hot.workload))
    except (BootseerError, OSError, TimeoutError) as error:
        fields = {"image": hot.image.reference, "reason": str(error) or "no answer in time"}
        log.warning("hot.store_failed", extra={"fields": fields})
        return None


def is_news(known: Known | None, source: str) -> bool:
    """Say whether the stores have something better than what is here from `source`."""
    if known is None:
        return False
    if known.pack is not None:
        return known.pack.digest != source
    return source.startswith(RECORD_SOURCE) and bool(known.records)
