"""What commands on files of a volume share: opening it, and errors for people."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from bootseer.errors import CorruptError, NotFoundError, RemoteError
from fuse_hdfs.files.volume import Settings, Volume
from fuse_hdfs.locations import Location, locate
from fuse_hdfs.stores.places import open_store


@contextlib.contextmanager
def errors_of(what: str) -> Iterator[None]:
    """Turn what a store raises into an error for people: `what` failed."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{error.filename or what} does not exist in {what}") from error
    except OSError as error:
        if isinstance(error.__cause__, CorruptError):
            raise error.__cause__ from error
        name = f": {error.filename}" if error.filename else ""
        raise RemoteError(f"{what}: {error.strerror or error}{name}") from error


@contextlib.asynccontextmanager
async def opened_volume(store: str, settings: Settings | None = None) -> AsyncIterator[Volume]:
    """Open the volume at the address of a store.

    Raises:
        UsageError, NotFoundError, RemoteError, CorruptError: also for what goes wrong inside.
    """
    async with open_store(store) as opened:
        volume = Volume(opened, settings or Settings())
        try:
            with errors_of(store):
                yield volume
        finally:
            await volume.close()


@contextlib.asynccontextmanager
async def opened_location(text: str) -> AsyncIterator[tuple[Volume, Location]]:
    """Open the volume of a file that a text names (`STORE//PATH`). Raises as `opened_volume`."""
    location = await locate(text)
    async with opened_volume(location.store) as volume:
        yield volume, location
