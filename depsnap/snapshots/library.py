"""Snapshots in a store: found, read, published, removed.

Concurrency: nothing is kept between calls. A snapshot appears when its head does, which is stored
last and by the first who comes; packs and trees are named by what is in them, so that several who
store the same one agree. Removing takes heads away first. A reader verifies all digests: what is
half there, or half gone, is not found.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseer.blobs.store import BlobInfo, BlobStore
from bootseer.errors import BootseerError, CorruptError, NotFoundError
from bootseer.together import together
from depsnap.limits import DEFAULT, Limits
from depsnap.mounting.image import hot_folder, image_digest
from depsnap.snapshots.head import Head, OtherVersionError, decode_head, encode_head
from depsnap.snapshots.names import (
    HEADS,
    HOT,
    PACKS,
    TREES,
    USED,
    head_name,
    job_folder,
    key_folder,
    pack_name,
    parse_head_name,
    parse_used_name,
    tree_name,
    used_name,
)
from depsnap.tree.check import check_inside
from depsnap.tree.entries import Tree
from depsnap.tree.table import tree_of

log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
_DAY_S: Final = 86_400.0
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
class Heads:
    """What has become of heads that were looked at. Those that are damaged are in none of these."""

    read: list[Stored]
    """Oldest first."""
    others: list[BlobInfo]
    """Those that this version of bootseer does not read: what they name is not known, and may be
    needed by who does."""
    failed: list[BootseerError]
    """Why the store did not give others."""


@dataclass(frozen=True, slots=True)
class Library:
    """The snapshots in a store."""

    store: BlobStore
    limits: Limits = DEFAULT

    async def newest(self, name: str, key: str, digest: str = "") -> Stored | None:
        """Return the newest generation of a snapshot that can be read; None if there is none.

        With `digest` only the one whose head has it.
        """
        for generation in reversed(await self.generations(name, key)):
            try:
                stored = await self._read(name, key, generation)
                if digest in ("", stored.digest):
                    return stored
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
        return (await self.heads(name)).read

    async def heads(self, name: str = "") -> Heads:
        """Return what has become of all heads of a job (of all jobs, without a name)."""
        folder = job_folder(name) if name else HEADS
        listed = await self.store.list(folder, self.limits.snapshots)
        wanted = [(one, parsed) for one in listed if (parsed := parse_head_name(one.name))]
        found = await together(self._tried, [parsed for _, parsed in wanted], _AT_ONCE)
        read = [one for one in found if isinstance(one, Stored)]
        return Heads(
            sorted(read, key=lambda one: one.head.created),
            [
                one
                for (one, _), result in zip(wanted, found, strict=True)
                if isinstance(result, OtherVersionError)
            ],
            [one for one in found if not isinstance(one, Stored | CorruptError | NotFoundError)],
        )

    async def tree(self, head: Head) -> Tree:
        """Return the tree of a snapshot, verified and validated.

        Raises:
            NotFoundError: it is gone.
            CorruptError: it is not what its head says.
        """
        # Where the node has kept a snapshot its tree is not read.
        from depsnap.tree.tree_format import decode_table  # noqa: PLC0415

        data = await self.store.read(tree_name(head.tree), 0, head.tree_size)
        if hashlib.sha256(data).hexdigest() != head.tree:
            raise CorruptError(f"tree {head.tree} has other bytes than its name says")
        table = decode_table(data, self.limits)
        check_inside(table, tuple(root.strip("/") for root in head.roots))
        return tree_of(table)

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

    async def note_use(self, stored: Stored, now: float) -> None:
        """Note that a snapshot is used, at most once a day; see `is_use_noted`.

        `now` is in seconds since 1970. A store that takes nothing is passed over.
        """
        if not is_use_noted(stored.head, now):
            return
        day = time.strftime("%Y%m%d", time.gmtime(now))
        name = used_name(stored.head.name, stored.head.key, stored.generation, day)
        with contextlib.suppress(BootseerError):
            if await self.store.size(name) is None:
                await self.store.put(name, b"")

    async def last_uses(self) -> dict[tuple[str, str, int], float]:
        """Return when each snapshot was used last, in seconds since 1970 by the store's clock.

        By job, key and generation. Those that nobody used since they were made are not in it.
        """
        found: dict[tuple[str, str, int], float] = {}
        for one in await self.store.list(USED, _OBJECTS):
            if which := parse_used_name(one.name):
                found[which] = max(one.modified, found.get(which, 0.0))
        return found

    async def unnamed(self, keep: Iterable[Stored], older_than: float) -> list[tuple[str, int]]:
        """Return (name, size) of trees, packs, hot blocks and uses of no snapshot in `keep`.

        Only such that were stored before `older_than`, in seconds since 1970 by the store's clock:
        a snapshot that is being published has no head yet. Where a tree cannot be read nothing is
        returned: it may be the one that names them.
        """
        named, used = set(), set()
        for stored in keep:
            named.add(tree_name(stored.head.tree))
            named |= {pack_name(pack.digest) for pack in (await self.tree(stored.head)).packs}
            named.add(hot_folder(image_digest(stored.head)))
            used.add((stored.head.name, stored.head.key, stored.generation))
        listed = [
            one
            for folder in (PACKS, TREES, HOT, USED)
            for one in await self.store.list(folder, _OBJECTS)
        ]
        return [
            (one.name, one.size)
            for one in listed
            if named.isdisjoint((one.name, "/".join(one.name.split("/")[:2])))
            and parse_used_name(one.name) not in used
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

    async def _tried(self, where: tuple[str, str, int]) -> Stored | BootseerError:
        """Return a snapshot, or why its head cannot be read."""
        try:
            return await self._read(*where)
        except BootseerError as error:
            fields = {"name": where[0], "key": where[1], "reason": error.message}
            log.warning("deps.head.unusable", extra={"fields": fields})
            return error


def is_use_noted(head: Head, now: float) -> bool:
    """Say whether a use now is noted: on the day on which it was made that is known anyway."""
    return now - head.created >= _DAY_S
