"""Units of files: from memory, else from the store, checked against their manifest.

Race-free: one event loop's thread; what is shared between calls is the unit cache.
"""

import errno
import logging
from typing import Final

from fuse_hdfs.checksums import crc32c
from fuse_hdfs.files.copies import Copies
from fuse_hdfs.files.hedging import Hedging
from fuse_hdfs.files.names import stripe_path
from fuse_hdfs.files.stripes import Stripes
from fuse_hdfs.files.units import Key, UnitCache
from fuse_hdfs.files.version import Version
from fuse_hdfs.stores.store import Store
from fuse_hdfs.stores.traffic import Direction, Traffic
from fuse_hdfs.striping.layout import Place

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 2
"""Times that a unit with a wrong checksum is read."""


class Contents:
    """The units of one volume's files."""

    def __init__(self, store: Store, stretch: int, room: int, traffic: Traffic) -> None:
        """`room`: bytes that are kept in memory.

        What is read is counted in `traffic`, by the stripes' numbers.
        """
        self._store = store
        self.stretch = stretch
        """Bytes of a plain file that are read as one."""
        self._traffic = traffic
        self._units = UnitCache(room)
        self._copies = Copies(store)
        self._stripes = Stripes(store, self._copies)

    @property
    def taken(self) -> int:
        """Bytes that are kept, or being fetched."""
        return self._units.taken

    @property
    def hedging(self) -> Hedging:
        """How often a second copy was asked."""
        return self._stripes.hedging

    async def close(self) -> None:
        """Stop what is under way."""
        await self._units.close()
        await self._stripes.close()
        await self._copies.close()

    async def unit(self, place: Place) -> bytes:
        """Return a unit of a segment; OSError with EIO if its bytes are wrong."""
        key = (place.segment.id, place.index)
        return await self._units.get(key, place.length, lambda: self._fetch(place))

    def kept(self, place: Place) -> bytes | None:
        """Return a unit of a segment; None if it has to be waited for."""
        return self._units.kept((place.segment.id, place.index))

    def used(self, place: Place, size: int) -> None:
        """Take note that bytes of a unit were read; see `UnitCache.used`."""
        self._units.used((place.segment.id, place.index), size)

    def bring(self, place: Place) -> bool:
        """Begin to fetch a unit; see `UnitCache.bring`."""
        key = (place.segment.id, place.index)
        return self._units.bring(key, place.length, lambda: self._fetch(place, ahead=True))

    async def plain_unit(self, path: str, version: Version, number: int) -> bytes:
        """Return a stretch of a plain file; OSError with ESTALE if it is another file by now."""
        key, size = self._plain(version, number)
        return await self._units.get(key, size, lambda: self._fetch_plain(path, version, number))

    def used_plain(self, version: Version, number: int, size: int) -> None:
        """Take note that bytes of a stretch of a plain file were read."""
        self._units.used(self._plain(version, number)[0], size)

    def bring_plain(self, path: str, version: Version, number: int) -> bool:
        """Begin to fetch a stretch of a plain file; see `UnitCache.bring`."""
        key, size = self._plain(version, number)
        return self._units.bring(key, size, lambda: self._fetch_plain(path, version, number))

    def _plain(self, version: Version, number: int) -> tuple[Key, int]:
        size = min(self.stretch, version.size - number * self.stretch)
        return (version.entry.status.identity, number), size

    async def _fetch_plain(self, path: str, version: Version, number: int) -> bytes:
        # Nothing but its path names a plain file: somebody may have put another one there.
        (identity, _), size = self._plain(version, number)
        offset = number * self.stretch
        several = version.size > self.stretch
        place = await self._copies.place(path, identity, offset, number) if several else None
        status = version.entry.status
        data = await self._store.read(path, offset, size, of=status, place=place)
        if len(data) != size:
            raise OSError(errno.EIO, "ends early", path)
        return data

    async def _fetch(self, place: Place, *, ahead: bool = False) -> bytes:
        path = stripe_path(place.segment.id, place.stripe)
        for attempt in range(_ATTEMPTS):
            follow = ahead and not attempt
            try:
                with self._traffic.call(str(place.stripe), Direction.READ) as call:
                    data = await self._stripes.read(path, place.offset, place.length, follow=follow)
                    call.bytes = len(data)
            except FileNotFoundError:
                log.error("stripe.missing", extra={"fields": {"stripe": path}})
                raise OSError(errno.EIO, "a stripe is missing", path) from None
            if len(data) == place.length and crc32c(data) == place.segment.checksum(place.index):
                return data
            fields = {"stripe": path, "offset": place.offset, "bytes": len(data)}
            log.error("unit.damaged", extra={"fields": fields})
        raise OSError(errno.EIO, "damaged", path)
