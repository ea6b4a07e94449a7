"""Whether a snapshot is whole: every object it names, every byte against its digest."""

import hashlib
import logging

from bootseer.errors import BootseerError, CorruptError, NotFoundError
from bootseer.together import together
from depsnap.snapshots.library import Library, Stored
from depsnap.snapshots.names import pack_name, tree_name
from depsnap.tree.entries import Pack

log = logging.getLogger(__name__)


async def damaged(library: Library, stored: Stored) -> list[tuple[str, str]]:
    """Return (object, what is wrong with it) of everything in a snapshot that cannot be used."""
    try:
        tree = await library.tree(stored.head)
    except (CorruptError, NotFoundError) as error:
        return [(tree_name(stored.head.tree), error.message)]

    async def check(pack: Pack) -> tuple[str, str] | None:
        name = pack_name(pack.digest)
        try:
            return None if await _is_whole(library, name, pack) else (name, "other bytes")
        except (CorruptError, NotFoundError) as error:
            return name, error.message

    packs = list({pack.digest: pack for pack in tree.packs}.values())
    found = await together(check, packs, 2)
    return [one for one in found if one is not None]


async def drop_damaged(library: Library, stored: Stored) -> list[tuple[str, str]]:
    """Remove the objects of a snapshot that cannot be used; return them.

    Objects are never written over: only so can who makes the snapshot anew store them again.
    """
    found = await damaged(library, stored)
    for name, reason in found:
        try:
            await library.store.delete(name)
        except BootseerError as error:
            fields = {"object": name, "reason": error.message}
            log.warning("deps.object.undeletable", extra={"fields": fields})
            continue
        log.warning("deps.object.dropped", extra={"fields": {"object": name, "reason": reason}})
    return found


async def _is_whole(library: Library, name: str, pack: Pack) -> bool:
    whole = hashlib.sha256()
    offset = 0
    for frame in pack.frames:
        data = await library.store.read(name, offset, frame.stored)
        if hashlib.sha256(data).hexdigest() != frame.digest:
            return False
        whole.update(data)
        offset += frame.stored
    return offset == await library.store.size(name) and whole.hexdigest() == pack.digest
