"""What refers to a manifest: the referrers API, and the tag that stands in for it.

Distribution specification v1.1, "Listing Referrers" and "Referrers Tag Schema". A registry
without the API keeps the list as an image index under the tag `sha256-<hex>`; clients change it
by reading and writing, and nothing tells a registry to write only over what was read. So a writer

- reads the list again some time after it wrote, when whoever had read the list before that has
  written too, and writes again, after a pause of random length, if its entry is gone;
- writes back whatever it has ever seen in the list, so that it mends what others overwrote.

What is left is a chain of writers that overtake each other, each slower than the whole wait.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import Sequence
from typing import Final

from yarl import URL

from bootseer.digests import check_digest, digest_of
from bootseer.documents import parse_document
from bootseer.errors import CorruptError, NotFoundError, RemoteError
from snapshotter.limits import Limits
from snapshotter.registry.calls import Calls
from snapshotter.registry.descriptors import Descriptor, parse_descriptor
from snapshotter.registry.faults import shown
from snapshotter.registry.hosts import PUSH, RESOLVE, Endpoint
from snapshotter.registry.manifests import OCI_INDEX, Manifests
from snapshotter.registry.reference import Reference
from snapshotter.registry.retry import HttpError
from snapshotter.registry.settings import ClientSettings
from snapshotter.registry.tokens import Scope
from snapshotter.registry.transport import Answer, Request, Transport, endpoint_url

_NO_SUCH_API: Final = frozenset({400, 405, 406, 501})
"""What registries answer, besides 404, to a path that they do not know."""
_UNKNOWN: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})
"""What they say of a list with an entry that does not exist."""
_TRIPPED: Final = "DIGEST_INVALID"
"""What docker-registry says of a tag that two write at once, though it has no digest to match."""
_NEXT: Final = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)
_WRITES: Final = 12
_LONGEST_PAUSE: Final = 8.0
"""Between two writes, as a multiple of `settle`."""
_WINDOWS: Final = 4
"""What one write took us, others may take as well, and one may wait for another."""


def fallback_tag(digest: str) -> str:
    """Return the tag under which referrers of a manifest are listed.

    Raises:
        CorruptError: the digest is malformed.
    """
    return check_digest(digest).replace(":", "-")


def parse_referrers(data: bytes, name: str, limits: Limits) -> tuple[Descriptor, ...]:
    """Return the descriptors in a list of referrers (an image index).

    Raises:
        CorruptError: it is malformed.
    """
    root = parse_document(data, name, limits.referrers)
    if root.optional("config") or root.optional("layers"):
        raise root.wrong("an image manifest, not a list of referrers")
    manifests = root.optional("manifests")
    if manifests is None:  # Go writes an empty list as null
        return ()
    return tuple(
        parse_descriptor(item, limits.manifest) for item in manifests.items(limits.manifests)
    )


def with_referrer(listed: Sequence[Descriptor], added: Descriptor) -> bytes:
    """Return the list of referrers (an image index) with one more; none is listed twice."""
    others = [descriptor for descriptor in listed if descriptor.digest != added.digest]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor.to_json() for descriptor in (*others, added)],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


class Referrers:
    """The `referrers` part of a `RegistryClient`."""

    def __init__(
        self, transport: Transport, calls: Calls, manifests: Manifests, settings: ClientSettings
    ) -> None:
        self._transport = transport
        self._calls = calls
        self._manifests = manifests
        self._limits = settings.limits
        self._settle = settings.settle

    async def list(
        self, reference: Reference, digest: str, artifact_type: str
    ) -> tuple[Descriptor, ...]:
        """Return the manifests of a type that refer to the manifest `digest`.

        An endpoint that lists none does not keep the next one from being asked: a mirror may not
        know yet.

        Raises:
            RemoteError: the registry does not say.
            CorruptError: what it says is malformed.
        """
        check_digest(digest)

        async def operation(endpoint: Endpoint) -> tuple[Descriptor, ...]:
            listed = await self._list_at(endpoint, reference, digest, artifact_type)
            found = tuple(one for one in listed if one.artifact_type == artifact_type)
            if not found:
                raise NotFoundError(f"nothing of {artifact_type} refers to {digest}")
            return found

        try:
            return await self._calls.run(reference, RESOLVE, operation)
        except NotFoundError:
            return ()

    async def announce(self, reference: Reference, subject: str, added: Descriptor) -> None:
        """List a manifest under its subject at a registry that has no referrers API.

        Takes `ClientSettings.settle` seconds at least, unless the manifest is listed already.

        Raises:
            RemoteError: the list cannot be read or written, or is overwritten again and again.
            CorruptError: the list that is there is malformed.
        """

        async def operation(endpoint: Endpoint) -> None:
            seen: dict[str, Descriptor] = {}
            for attempt in range(_WRITES):
                began = time.monotonic()
                listed = await self._tagged(endpoint, reference, subject)
                present = any(one.digest == added.digest for one in listed)
                if present and not attempt:
                    return
                seen |= {one.digest: one for one in listed}
                if not present:
                    try:
                        seen = await self._put_list(endpoint, reference, tag, seen, added)
                    except HttpError as error:
                        if error.code != _TRIPPED:
                            raise
                window = time.monotonic() - began
                await asyncio.sleep(self._settle + _WINDOWS * window)
                listed = await self._tagged(endpoint, reference, subject)
                if any(one.digest == added.digest for one in listed):
                    return
                seen |= {one.digest: one for one in listed}
                # Spreads writers that collided; not a secret.
                chance = random.random()  # noqa: S311
                longest = max(self._settle, window) * min(2**attempt, _LONGEST_PAUSE)
                await asyncio.sleep(chance * longest)
            raise RemoteError(
                f"tag {tag} of {reference.name}: others overwrite our entry",
                hint="try again when fewer publish at once",
            )

        tag = fallback_tag(subject)
        await self._calls.run(reference, PUSH, operation)

    async def _put_list(
        self,
        endpoint: Endpoint,
        reference: Reference,
        tag: str,
        listed: dict[str, Descriptor],
        added: Descriptor,
    ) -> dict[str, Descriptor]:
        """Write a list with one entry more; return what was in it before and stays.

        A registry may refuse a list that names what somebody has removed: then those go.
        """
        data = with_referrer(tuple(listed.values()), added)
        try:
            await self._manifests.put_to(endpoint, reference, tag, OCI_INDEX, data)
        except HttpError as error:
            if error.code not in _UNKNOWN:
                raise
            listed = {
                digest: one
                for digest, one in listed.items()
                if await self._is_there(endpoint, reference, digest)
            }
            data = with_referrer(tuple(listed.values()), added)
            await self._manifests.put_to(endpoint, reference, tag, OCI_INDEX, data)
        return listed

    async def _is_there(self, endpoint: Endpoint, reference: Reference, digest: str) -> bool:
        try:
            await self._manifests.get_from(endpoint, reference, digest)
        except NotFoundError:
            return False
        return True

    async def _list_at(
        self, endpoint: Endpoint, reference: Reference, digest: str, artifact_type: str
    ) -> tuple[Descriptor, ...]:
        try:
            return await self._pages(endpoint, reference, digest, artifact_type)
        except NotFoundError:
            return await self._tagged(endpoint, reference, digest)
        except HttpError as error:
            if error.status not in _NO_SUCH_API:
                raise
            return await self._tagged(endpoint, reference, digest)

    async def _pages(
        self, endpoint: Endpoint, reference: Reference, digest: str, artifact_type: str
    ) -> tuple[Descriptor, ...]:
        what = f"referrers of {reference.name}@{digest}"
        path = f"{reference.path}/referrers/{digest}"
        url = endpoint_url(endpoint, path, {"artifactType": artifact_type})
        found: list[Descriptor] = []
        for _ in range(self._limits.referrers_pages):
            request = Request(
                what=what,
                kind="referrers",
                url=url,
                scope=Scope(reference.path),
                headers={"Accept": OCI_INDEX},
            )
            answer = await self._transport.small(endpoint, request, self._limits.referrers)
            media_type = answer.headers.get("Content-Type", "").split(";", 1)[0].strip().lower()
            if media_type != OCI_INDEX:
                # Something else answers on this path: a web page, say.
                raise NotFoundError(f"{what}: {shown(answer.url)} has no referrers API")
            found.extend(parse_referrers(answer.body, what, self._limits))
            following = _next_page(answer, endpoint)
            if following is None:
                break
            url = following
        return tuple(found)

    async def _tagged(
        self, endpoint: Endpoint, reference: Reference, digest: str
    ) -> tuple[Descriptor, ...]:
        """Return what the fallback tag lists; nothing if there is no such tag."""
        tag = fallback_tag(digest)
        try:
            raw = await self._manifests.get_from(endpoint, reference, tag)
        except NotFoundError:
            return ()
        return parse_referrers(raw.data, f"tag {tag} of {reference.name}", self._limits)


def _next_page(answer: Answer, endpoint: Endpoint) -> URL | None:
    """Return the address of the next page (RFC 8288), which is at the same endpoint."""
    match = _NEXT.search(answer.headers.get("Link", ""))
    if match is None:
        return None
    try:
        url = answer.url.join(URL(match[1], encoded=True))
        if url.origin() == URL(endpoint.base).origin():
            return url
    except ValueError as error:
        raise CorruptError(f"{shown(answer.url)}: the link to the next page is broken") from error
    raise CorruptError(f"{shown(answer.url)}: the next page is at another host")


def described(data: bytes, media_type: str, artifact_type: str) -> Descriptor:
    """Return the descriptor of a manifest."""
    return Descriptor(media_type, digest_of(data), len(data), artifact_type=artifact_type)
