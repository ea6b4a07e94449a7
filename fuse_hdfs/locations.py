"""Files of volumes by one text: `STORE//PATH`, or an address below a volume that is there.

A path alone does not say where its volume begins, below which its stripes are. Two slashes say it;
without them the nearest directory above with what volumes keep is it.
"""

import errno
from dataclasses import dataclass
from urllib.parse import quote, unquote

from bootseer.errors import RemoteError, UsageError
from fuse_hdfs.files.names import HIDDEN
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.transports import Transport

_HIDDEN_FROM_US = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Location:
    """A file or directory of a volume."""

    store: str
    """Address of the volume."""
    path: str
    """In the volume; empty for its root."""

    def __str__(self) -> str:
        return f"{self.store.rstrip('/')}//{self.path}"


def is_address(text: str) -> bool:
    """Say whether a text is an address rather than a path of this machine."""
    return "://" in text


def explicit(text: str) -> Location | None:
    """Return what `STORE//PATH` names, the path taken literally; None without two slashes."""
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    above, two, below = f"{slash}{path}".partition("//")
    if not two:
        return None
    return Location(f"{scheme}://{host}{above or '/'}", below.strip("/"))


async def locate(text: str, transport: Transport = "auto") -> Location:
    """Return what a text names; `transport`: how HDFS is reached.

    Raises:
        UsageError: it is no address, or no volume is found above it.
        NotFoundError, RemoteError: the store is not there, or does not answer.
    """
    if (found := explicit(text)) is not None:
        return found
    if not is_address(text):
        raise UsageError(f"{text!r} is no address of a file", hint="STORE//PATH")
    scheme, _, rest = text.partition("://")
    host, _, path = rest.partition("/")
    words = [unquote(word) for word in path.split("/") if word]
    base = f"{scheme}://{host}/"
    async with open_store(base, transport=transport) as store:
        for count in range(len(words), -1, -1):
            try:
                await store.stat("/".join([*words[:count], HIDDEN]))
            except OSError as error:
                if error.errno not in _HIDDEN_FROM_US:
                    raise RemoteError(f"{text}: {error.strerror}") from error
                continue
            return Location(base + quote("/".join(words[:count])), "/".join(words[count:]))
    raise UsageError(
        f"no volume is found above {text}",
        hint="say where it begins by two slashes, as in webhdfs://namenode:9870/volume//file",
    )
