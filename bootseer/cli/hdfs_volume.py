"""What commands on files of a volume share: opening it, and errors for people."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from bootseer.config import Hdfs
from bootseer.errors import CorruptError, NotFoundError, RemoteError, UsageError
from fuse_hdfs.files.rules import Rule
from fuse_hdfs.files.settings import Settings
from fuse_hdfs.files.volume import Volume
from fuse_hdfs.files.writing import Striping
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
async def opened_volume(store: str, hdfs: Hdfs) -> AsyncIterator[Volume]:
    """Open the volume at the address of a store, as the configuration says.

    Raises:
        UsageError, NotFoundError, RemoteError, CorruptError: also for what goes wrong inside.
    """
    settings = volume_settings(hdfs)
    async with open_store(store, hdfs.timeout, transport=hdfs.transport) as opened:
        volume = Volume(opened, settings)
        try:
            with errors_of(store):
                yield volume
        finally:
            await volume.close()


@contextlib.asynccontextmanager
async def opened_location(text: str, hdfs: Hdfs) -> AsyncIterator[tuple[Volume, Location]]:
    """Open the volume of a file that a text names (`STORE//PATH`). Raises as `opened_volume`."""
    location = await locate(text, hdfs.transport)
    async with opened_volume(location.store, hdfs) as volume:
        yield volume, location


def volume_settings(hdfs: Hdfs) -> Settings:
    """Return how files are written and read. UsageError if it makes no sense."""
    for unit in (hdfs.stripe_unit, *(rule.stripe_unit for rule in hdfs.rules)):
        if unit is not None and unit & (unit - 1):
            raise UsageError(f"hdfs: a stripe_unit of {unit} is no power of two")
    striping = Striping(hdfs.stripe_unit, hdfs.stripe_count)
    rules = tuple(
        Rule(rule.match, rule.stripe_unit, rule.stripe_count, rule.small) for rule in hdfs.rules
    )
    return Settings(striping, hdfs.small, hdfs.cache, hdfs.ahead, rules, hdfs.send_again)
