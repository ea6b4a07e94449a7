"""Asks WebHDFS: again where that helps, and with errors that are `OSError`s."""

import errno
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from bootseer.errors import BootseerError
from bootseer.webhdfs.calls import Calls
from bootseer.webhdfs.gss import TicketError
from fuse_hdfs.stores.names import checked
from fuse_hdfs.stores.traffic import Traffic
from fuse_hdfs.stores.webhdfs_errors import AnswerError

T = TypeVar("T")

SMALL: Final = 64 << 10
"""Most bytes of an answer that is a few fields."""


@dataclass(slots=True)
class Tries:
    """How often something was asked for: of several times an earlier one may have been heard."""

    number: int = 0

    @property
    def several(self) -> bool:
        """Say whether this is not the first time."""
        return self.number > 1


class Asking:
    """Calls of a store to its NameNodes and DataNodes."""

    def __init__(self, calls: Calls, traffic: Traffic) -> None:
        """`traffic`: where what was asked again is counted."""
        self.calls = calls
        self.traffic = traffic

    async def small(
        self,
        method: str,
        path: str,
        op: str,
        most: int = SMALL,
        tries: "Tries | None" = None,
        /,
        **query: str,
    ) -> bytes:
        """Return the answer to one call of the API, at most `most` bytes. `tries` counts."""
        small = partial(self.calls.small, method, checked(path), op, most, **query)

        async def counted() -> bytes:
            if tries is not None:
                tries.number += 1
            return await small()

        return await self.again(counted)

    async def again(self, work: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Do what may fail for a while, a few times."""
        tries = Tries()

        async def counted() -> T:
            tries.number += 1
            self.traffic.retries += tries.several
            return await work(*arguments)

        return await self.once(partial(self.calls.again, counted), "")

    async def once(self, work: Callable[[], Awaitable[T]], path: str) -> T:
        """Turn what is no `OSError` into one."""
        try:
            return await work()
        except AnswerError as error:
            raise OSError(error.number, os.strerror(error.number), error.what) from None
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, "HDFS does not answer in time", path) from error
        except BootseerError as error:
            number = errno.EACCES if isinstance(error, TicketError) else errno.EIO
            raise OSError(number, error.message, path) from error
