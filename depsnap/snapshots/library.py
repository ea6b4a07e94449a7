"""Snapshots in a store: found, read, published, removed.

Concurrency: nothing is kept between calls. A snapshot appears when its head does, which is stored
last and by the first who comes; packs and trees are named by what is in them, so that several who
store the same one agree. Removing takes heads away first. A reader verifies all digests: what is
half there, or half gone, is not found.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.blobs.store import BlobStore
from bootseer.errors import BootseerError, CorruptError, NotFoundError
from bootseer.together import together
from depsnap.limits import DEFAULT, Limits
from depsnap.mounting.image import hot_folder, image_digest
from depsnap.snapshots.head import Head, decode_head, encode_head
from depsnap.snapshots.names import (
    HEADS,
    HOT,
    PACKS,
    TREES,
    head_name,
    job_folder,
    key_folder,
    pack_name,
    parse_head_name,
    tree_name,
)
from depsnap.tree.check import check_inside
from depsnap.tree.entries import Tree
from depsnap.tree.tree_format import decode_tree

log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
_OBJECTS: Final = 1_000_000
"""Packs or trees that are looked at when what nobody names is removed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A snapshot that is there."""

    head: Head
    generation: int
    digest: str
    """SHA-256 of its head, which pins everything in it."""


@dataclass(frozen=True, slots=True)
class Library:
    """The snapshots in a store."""

    store: BlobStore
    limits: Limits = DEFAULT

    async def newest(self, name: str, key: str) -> Stored | None:
        """Return the newest generation of a snapshot that can be read; None if there is none."""
        for generation in reversed(await self.generations(name, key)):
            try:
                return await self._read(name, key, generation)
            except (CorruptError, NotFoundError) as error:
                fields = {"name": name, "key": key, "reason": error.message}
                log.warning("deps.head.unusable", extra={"fields": fields})
        return None

    async def generations(self, name: str, key: str) -> list[int]:
        """Return the generations of a snapshot that there are, oldest first."""
        listed = await self.store.list(key_folder(name, key), self.limits.snapshots)
        found = (parse_head_name(one.name) for one in listed)
        return sorted(one[2] for one in found if one)

    async def latest_of(self, name: str) -> Stored | None:
        """Return the snapshot of a job that was stored last; None if there is none."""
        listed = await self.store.list(job_folder(name), self.limits.snapshots)
        for one in sorted(listed, key=lambda one: one.modified, reverse=True):
            if parsed := parse_head_name(one.name):
                try:
                    return await self._read(*parsed)
                except (CorruptError, NotFoundError):
                    continue
        return None

    async def all(self, name: str = "") -> list[Stored]:
        """Return all snapshots of a job (of all jobs, without a name), oldest first."""
        folder = job_folder(name) if name else HEADS
        listed = await self.store.list(folder, self.limits.snapshots)
        wanted = [parsed for one in listed if (parsed := parse_head_name(one.name))]
        found = await together(self._read_or_none, wanted, _AT_ONCE)
        return sorted((one for one in found if one), key=lambda one: one.head.created)

    async def tree(self, head: Head) -> Tree:
        """Return the tree of a snapshot, verified and validated.

        Raises:
            NotFoundError: it is gone.
            CorruptError: it is not what its head says.
        """
        data = await self.store.read(tree_name(head.tree), 0, head.tree_size)
        if hashlib.sha256(data).hexdigest() != head.tree:
            raise CorruptError(f"tree {head.tree} has other bytes than its name says")
        tree = decode_tree(data, self.limits)
        check_inside(tree, tuple(root.strip("/") for root in head.roots))
        return tree

    async def publish(self, head: Head, tree: bytes, packs: Mapping[str, Path]) -> Stored:
        """Store a snapshot whose packs are files; return it, or that of who was faster."""
        await together(self._put_pack, packs.items(), _AT_ONCE)
        await self.store.put(tree_name(head.tree), tree)
        data = encode_head(head)
        decode_head(data, self.limits)  # what cannot be read back is not written
        generation = max(await self.generations(head.name, head.key), default=0) + 1
        name = head_name(head.name, head.key, generation)
        if not await self.store.put(name, data):
            return await self._read(head.name, head.key, generation)
        return Stored(head, generation, hashlib.sha256(data).hexdigest())

    async def remove(self, stored: Stored) -> bool:
        """Remove a snapshot's head; say whether it was there. `sweep` removes what it named."""
        return await self.store.delete(
            head_name(stored.head.name, stored.head.key, stored.generation)
        )

    async def unnamed(self, keep: Iterable[Stored], older_than: float) -> list[tuple[str, int]]:
        """Return (name, size) of trees, packs and hot blocks that are of no snapshot in `keep`.

        Only such that were stored before `older_than`, in seconds since 1970 by the store's clock:
        a snapshot that is being published has no head yet. Where a tree cannot be read nothing is
        returned: it may be the one that names them.
        """
        named = set()
        for stored in keep:
            named.add(tree_name(stored.head.tree))
            named |= {pack_name(pack.digest) for pack in (await self.tree(stored.head)).packs}
            named.add(hot_folder(image_digest(stored.head)))
        listed = [
            one for folder in (PACKS, TREES, HOT) for one in await self.store.list(folder, _OBJECTS)
        ]
        return [
            (one.name, one.size)
            for one in listed
            if named.isdisjoint((one.name, "/".join(one.name.split("/")[:2])))
            and one.modified < older_than
        ]

    async def _put_pack(self, pack: tuple[str, Path]) -> None:
        await self.store.put(pack_name(pack[0]), pack[1])

    async def _read(self, name: str, key: str, generation: int) -> Stored:
        where = head_name(name, key, generation)
        size = await self.store.size(where)
        if size is None:
            raise NotFoundError(f"{where} does not exist")
        if size > self.limits.head:
            raise CorruptError(f"{where}: {size} bytes, accepted are {self.limits.head}")
        data = await self.store.read(where, 0, size)
        head = decode_head(data, self.limits)
        if (head.name, head.key) != (name, key):
            raise CorruptError(f"{where} is the head of another snapshot")
        return Stored(head, generation, hashlib.sha256(data).hexdigest())

    async def _read_or_none(self, where: tuple[str, str, int]) -> Stored | None:
        try:
            return await self._read(*where)
        except BootseerError as error:
            fields = {"name": where[0], "key": where[1], "reason": error.message}
            log.warning("deps.head.unusable", extra={"fields": fields})
            return None
