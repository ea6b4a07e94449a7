"""A `BlobStore` in a repository of an OCI registry.

What is named by its digest, packs and trees, is a blob of the repository. All else is an artifact
(`artifacts.py`). A registry cannot say "only if nobody was faster": two who put one object may both
succeed, and then the same one counts for every reader from then on; which one, whoever puts learns
by looking again. Of a snapshot any will do: whoever reads a head reads only what that one pins.

Leases are not kept: without a first there is nothing to hold. Every node that finds no snapshot
makes one. Nor is kept when a snapshot was used: that would be a manifest each time. Blobs are not
listed and not removed: that is the registry's own collection's work, which keeps those that an
artifact names.

Concurrency: nothing is kept between calls but which blobs were put, for the manifest of the object
that names them; a store is opened by one who publishes, for one snapshot.
"""

import contextlib
import datetime as dt
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from bootseer.blobs.store import PIECE, BlobInfo, below, check_name
from bootseer.config import Registry
from bootseer.digests import digest_of, digest_of_file
from bootseer.errors import CorruptError, NotFoundError, RemoteError, UsageError
from bootseer.together import together
from depsnap.registry.artifacts import (
    FOLDER_TYPE,
    OBJECT_TYPE,
    PART_TYPE,
    Candidate,
    anchor,
    anchor_descriptor,
    candidate,
    chosen,
    folders_of,
    parse_anchor,
    parse_candidate,
)
from depsnap.snapshots.names import HEADS, LEASES, USED
from snapshotter.images.artifact import EMPTY, EMPTY_CONFIG
from snapshotter.images.referring import Subject
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.configure import client_settings
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest
from snapshotter.registry.reference import Reference, parse_reference

SCHEME: Final = "oci://"
_DIGEST: Final = re.compile(r"(?:packs/[0-9a-f]{2}|trees)/([0-9a-f]{64})")
_TAG: Final = "bootseer-depsnap"
"""Of the uppermost folder: so that a person finds it, and collections keep it."""
_AT_ONCE: Final = 8
_NOT_KEPT: Final = (f"{LEASES}/", f"{USED}/")


@contextlib.asynccontextmanager
async def open_registry(address: str, registry: Registry) -> AsyncIterator["RegistryBlobs"]:
    """Open the store at `oci://host/repository`; usable inside the context only.

    Raises:
        UsageError: it is no such address.
    """
    reference = parse_reference(address.removeprefix(SCHEME))
    if reference.digest or not address.endswith(reference.path):
        raise UsageError(f"{address!a} is no repository", hint="oci://host/repository, no tag")
    async with RegistryClient(client_settings(registry)) as client:
        yield RegistryBlobs(client, reference)


class RegistryBlobs:
    """See the module."""

    def __init__(self, client: RegistryClient, reference: Reference) -> None:
        """`reference`: any image of the repository."""
        self._client = client
        self._reference = reference
        self._parts: dict[str, Descriptor] = {}

    async def put(self, name: str, content: bytes | Path) -> bool:
        """Store an object; see `BlobStore.put`, and the module for what may happen instead."""
        if check_name(name).startswith(_NOT_KEPT):
            return True
        if digest := _digest_in(name):
            return await self._put_blob(digest, content)
        if await self._candidate(name) is not None:
            return False
        digest = digest_of(content) if isinstance(content, bytes) else digest_of_file(content)
        await self._put_blob(digest, content)
        described = self._parts.pop(digest)
        parts = list(self._parts.values()) if name.startswith(f"{HEADS}/") else []
        manifest = candidate(name, described, parts, dt.datetime.now(dt.UTC))
        await self._make_folders(name)
        folder = name.rpartition("/")[0]
        published = await self._subject(folder).publish(OBJECT_TYPE, manifest, {})
        counts = await self._candidate(name)
        return counts is None or counts.digest == published.digest

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """Return part of an object; see `BlobStore.read`."""
        check_name(name)
        if length == 0:
            return b""
        digest = _digest_in(name) or (await self._needed(name)).content.digest
        return await self._client.blobs.read(self._reference, digest, offset, length)

    async def stream(self, name: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """Yield an object; see `BlobStore.stream`."""
        size = await self.size(name)
        if size is None:
            raise NotFoundError(f"{name} does not exist")
        while offset < size:
            piece = await self.read(name, offset, min(PIECE, size - offset))
            offset += len(piece)
            yield piece

    async def size(self, name: str) -> int | None:
        """Return the bytes of an object; see `BlobStore.size`."""
        if digest := _digest_in(check_name(name)):
            return await self._client.blobs.size(self._reference, digest)
        found = await self._candidate(name)
        return None if found is None else found.content.size

    async def list(self, prefix: str, most: int) -> list[BlobInfo]:
        """Return the objects below a prefix; see `BlobStore.list`. Of blobs there is no list."""
        below(prefix)
        found: list[BlobInfo] = []
        folders = [prefix]
        while folders:
            folder = folders.pop()
            folders += await self._folders(folder)
            for one in chosen(await self._candidates(folder)):
                name = f"{below(folder)}{one.name}"
                found.append(BlobInfo(name, one.content.size, one.created.timestamp()))
            if len(found) + len(folders) > most:
                raise CorruptError(f"{self._reference.name} has more than {most} objects")
        return sorted(found, key=lambda one: one.name)

    async def delete(self, name: str) -> bool:
        """Remove an object: all that stand for it. See `BlobStore.delete`."""
        if check_name(name).startswith(_NOT_KEPT):
            return False
        if _digest_in(name):
            raise RemoteError(f"{name}: registries remove blobs by themselves")
        folder, _, last = name.rpartition("/")
        gone = [one.digest for one in await self._candidates(folder) if one.name == last]
        for digest in gone:
            await self._client.manifests.delete(self._reference, digest)
        return bool(gone)

    async def _put_blob(self, digest: str, content: bytes | Path) -> bool:
        uploads, reference = self._client.uploads, self._reference
        if isinstance(content, bytes):
            size, sent = len(content), await uploads.put(reference, content, digest)
        else:
            size = content.stat().st_size
            sent = await uploads.put_file(reference, content, digest)
        self._parts[digest] = Descriptor(PART_TYPE, digest, size)
        return sent

    async def _make_folders(self, name: str) -> None:
        await self._client.uploads.put(self._reference, EMPTY, EMPTY_CONFIG.digest)

        async def make(folder: str) -> None:
            data = anchor(folder)
            if folder:
                await self._subject(folder.rpartition("/")[0]).publish(FOLDER_TYPE, data, {})
            else:
                await self._client.manifests.put(self._reference, _TAG, OCI_MANIFEST, data)

        await together(make, folders_of(name), _AT_ONCE)

    async def _needed(self, name: str) -> Candidate:
        found = await self._candidate(name)
        if found is None:
            raise NotFoundError(f"{name} does not exist in {self._reference.name}")
        return found

    async def _candidate(self, name: str) -> Candidate | None:
        """Return the candidate that counts of a name; None if there is none."""
        folder, _, last = name.rpartition("/")
        found = chosen(await self._candidates(folder))
        return next((one for one in found if one.name == last), None)

    async def _candidates(self, folder: str) -> Sequence[Candidate]:
        """Return all candidates in a folder that are there."""
        subject = self._subject(folder)

        async def fetch(listed: Descriptor) -> Candidate | None:
            def parse(raw: RawManifest) -> Candidate:
                return parse_candidate(raw, folder)

            return await subject.fetch(listed, parse)

        found = await together(fetch, await subject.list(OBJECT_TYPE), _AT_ONCE)
        return [one for one in found if one is not None]

    async def _folders(self, folder: str) -> Sequence[str]:
        """Return the folders in a folder."""
        subject = self._subject(folder)

        async def fetch(listed: Descriptor) -> str | None:
            return await subject.fetch(listed, lambda raw: parse_anchor(raw, folder))

        found = await together(fetch, await subject.list(FOLDER_TYPE), _AT_ONCE)
        return [one for one in found if one is not None]

    def _subject(self, folder: str) -> Subject:
        digest = anchor_descriptor(folder).digest
        return Subject(self._client, self._reference, digest, "depsnap")


def _digest_in(name: str) -> str:
    """Return the digest that an object is named by; empty if it is not."""
    match = _DIGEST.fullmatch(name)
    return f"sha256:{match[1]}" if match else ""
