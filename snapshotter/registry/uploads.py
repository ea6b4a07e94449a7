"""Blobs to a registry: asked for first, then sent whole (distribution specification, "Push")."""

import asyncio
from http import HTTPStatus
from pathlib import Path

from yarl import URL

from bootseer.digests import digest_of, digest_of_file
from bootseer.errors import NotFoundError, RemoteError
from snapshotter.limits import Limits
from snapshotter.registry.bodies import Body, FileBody
from snapshotter.registry.calls import Calls
from snapshotter.registry.faults import shown
from snapshotter.registry.hosts import PUSH, Endpoint
from snapshotter.registry.reference import Reference
from snapshotter.registry.tokens import Scope
from snapshotter.registry.transport import Answer, Request, Transport, endpoint_url


class Uploads:
    """The `uploads` part of a `RegistryClient`."""

    def __init__(self, transport: Transport, calls: Calls, limits: Limits) -> None:
        self._transport = transport
        self._calls = calls
        self._limits = limits

    async def put(self, reference: Reference, data: bytes, digest: str = "") -> bool:
        """Store a blob unless it is there; say whether it was sent. `digest`: where it is known.

        Raises:
            NotFoundError, RemoteError: the registry refuses.
        """
        name = digest or await asyncio.to_thread(digest_of, data)
        return await self._put(reference, data, name)

    async def put_file(self, reference: Reference, path: Path, digest: str = "") -> bool:
        """Do what `put` does with a file, which is read while it is sent and must not change.

        Raises:
            NotFoundError, RemoteError: the registry refuses.
            OSError: the file cannot be read.
        """
        name = digest or await asyncio.to_thread(digest_of_file, path)
        return await self._put(reference, FileBody(path, path.stat().st_size), name)

    async def mount(self, reference: Reference, source: Reference, digest: str) -> bool:
        """Have the registry take a blob over from another of its repositories, if it will.

        False: it has to be sent. A registry need not know how, or not let us see the source.

        Raises:
            RemoteError: the registry fails.
        """

        async def operation(endpoint: Endpoint) -> bool:
            if await self._has(endpoint, reference, digest):
                return True
            query = {"mount": digest, "from": source.path}
            request = Request(
                what=f"blob {digest} of {source.name} for {reference.name}",
                kind="upload",
                url=endpoint_url(endpoint, f"{reference.path}/blobs/uploads/", query),
                scope=Scope(reference.path, "pull,push"),
                method="POST",
                body=b"",
                answers=frozenset({201, 202}),
            )
            answer = await self._transport.small(endpoint, request, self._limits.error_body)
            return answer.status == HTTPStatus.CREATED

        try:
            return await self._calls.run(reference, PUSH, operation)
        except NotFoundError:
            return False
        except RemoteError as error:
            if error.temporary:
                raise
            return False

    async def _put(self, reference: Reference, body: Body, name: str) -> bool:
        async def operation(endpoint: Endpoint) -> bool:
            if await self._has(endpoint, reference, name):
                return False
            await self._put_to(endpoint, reference, name, body)
            return True

        return await self._calls.run(reference, PUSH, operation)

    async def _has(self, endpoint: Endpoint, reference: Reference, digest: str) -> bool:
        """Ask the endpoint that is pushed to: what a mirror has does not count."""
        request = Request(
            what=f"blob {digest} of {reference.name}",
            kind="upload",
            url=endpoint_url(endpoint, f"{reference.path}/blobs/{digest}"),
            scope=Scope(reference.path, "pull,push"),
            method="HEAD",
        )
        try:
            await self._transport.small(endpoint, request, 0)
        except NotFoundError:
            return False
        return True

    async def _put_to(
        self, endpoint: Endpoint, reference: Reference, digest: str, body: Body
    ) -> None:
        what = f"upload of blob {digest} to {reference.name}"
        scope = Scope(reference.path, "pull,push")
        begin = Request(
            what=what,
            kind="upload",
            url=endpoint_url(endpoint, f"{reference.path}/blobs/uploads/"),
            scope=scope,
            method="POST",
            body=b"",
            answers=frozenset({202}),
        )
        begun = await self._transport.small(endpoint, begin, self._limits.error_body)
        finish = Request(
            what=what,
            kind="upload",
            url=_session(begun, what).update_query({"digest": digest}),
            scope=scope,
            method="PUT",
            headers={"Content-Type": "application/octet-stream"},
            body=body,
            answers=frozenset({201, 204}),
        )
        await self._transport.small(endpoint, finish, self._limits.error_body)


def _session(answer: Answer, what: str) -> URL:
    """Return the address at which an upload goes on."""
    location = answer.headers.get("Location", "")
    try:
        url = answer.url.join(URL(location, encoded=True))
        usable = bool(location) and url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        usable = False
    if not usable or (answer.url.scheme, url.scheme) == ("https", "http"):
        raise RemoteError(f"{what}: {shown(answer.url)} gave no usable address to upload to")
    return url
