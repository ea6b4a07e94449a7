"""Uploads that can be gone on with: a manifest of what is there, kept where nobody sees it.

It is one of the volume's unfinished files, so that `fsck` removes it with its segments when nobody
went on with it for long.
"""

import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from bootseer.errors import CorruptError
from fuse_hdfs import limits
from fuse_hdfs.files.names import UNFINISHED
from fuse_hdfs.stores.store import Store
from fuse_hdfs.striping.layout import Manifest
from fuse_hdfs.striping.manifest import decode, encode

PREFIX: Final = "upload-"


def place_of_upload(path: str, identity: str) -> str:
    """Return where the progress of copying a file to `path` is kept."""
    digest = hashlib.sha256(f"{path}\0{identity}".encode(errors="surrogateescape"))
    return f"{UNFINISHED}/{PREFIX}{digest.hexdigest()[:32]}"


async def load(store: Store, place: str) -> Manifest | None:
    """Return what is there already; None if nothing, or nothing of use, is."""
    try:
        return decode(await store.read(place, 0, limits.MANIFEST + 1))
    except (FileNotFoundError, CorruptError):
        return None


async def save(store: Store, place: str, manifest: Manifest) -> None:
    """Keep what is there now. OSError."""
    new = f"{UNFINISHED}/{secrets.token_hex(16)}"

    async def content() -> AsyncIterator[bytes]:
        yield encode(manifest)

    await store.write(new, content())
    await store.rename(new, place, replace=True)


async def drop(store: Store, place: str) -> None:
    """Forget an upload; its segments stay."""
    with contextlib.suppress(FileNotFoundError):
        await store.remove(place)
