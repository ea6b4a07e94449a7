"""Manifests: fetched by tag or digest, verified, and put (distribution specification)."""

from dataclasses import dataclass, field
from typing import Final

from bootseer.digests import check_digest, digest_of, is_digest, verify
from bootseer.errors import CorruptError, NotFoundError
from snapshotter.limits import Limits
from snapshotter.registry.calls import Calls
from snapshotter.registry.hosts import PULL, PUSH, RESOLVE, Endpoint
from snapshotter.registry.reference import Reference
from snapshotter.registry.retry import HttpError
from snapshotter.registry.tokens import Scope
from snapshotter.registry.transport import Answer, Request, Transport, endpoint_url

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPT: Final = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_INDEX}, {DOCKER_MANIFEST}"


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest as a registry sent it."""

    digest: str
    """Of `data`, checked."""
    media_type: str
    """The Content-Type without parameters; may be empty."""
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that a registry took."""

    digest: str
    subject: str
    """The subject that the registry says it lists this manifest under; empty if it says nothing,
    that is, if it has no referrers API."""


class Manifests:
    """The `manifests` part of a `RegistryClient`."""

    def __init__(self, transport: Transport, calls: Calls, limits: Limits) -> None:
        self._transport = transport
        self._calls = calls
        self._limits = limits

    async def get(self, reference: Reference, target: str | None = None) -> RawManifest:
        """Return the manifest that a reference names, or `target` (tag or digest) instead.

        Raises:
            NotFoundError: there is none.
            RemoteError: it cannot be had, or is larger than `Limits.manifest`.
            CorruptError: the bytes are not those of the digest.
        """
        target = target or reference.target
        capability = PULL if is_digest(target) else RESOLVE

        async def operation(endpoint: Endpoint) -> RawManifest:
            return await self.get_from(endpoint, reference, target)

        return await self._calls.run(reference, capability, operation)

    async def get_from(self, endpoint: Endpoint, reference: Reference, target: str) -> RawManifest:
        """Do what `get` does, at one endpoint, once."""
        request = self._request(endpoint, reference, target)
        answer = await self._transport.small(endpoint, request, self._limits.manifest)
        expected = target if is_digest(target) else _claimed(answer)
        digest = digest_of(answer.body)
        if expected is not None:
            verify(answer.body, expected, request.what)
        media_type = answer.headers.get("Content-Type", "").split(";", 1)[0].strip().lower()
        return RawManifest(digest, media_type, answer.body)

    async def exists(self, reference: Reference, target: str) -> bool:
        """Say whether the registry has a manifest.

        Raises:
            RemoteError: it does not say.
        """

        async def operation(endpoint: Endpoint) -> Answer:
            request = self._request(endpoint, reference, target, method="HEAD")
            return await self._transport.small(endpoint, request, 0)

        capability = PULL if is_digest(target) else RESOLVE
        try:
            await self._calls.run(reference, capability, operation)
        except NotFoundError:
            return False
        return True

    async def put(self, reference: Reference, target: str, media_type: str, data: bytes) -> Pushed:
        """Store a manifest under `target`, a tag or its digest.

        Raises:
            NotFoundError, RemoteError: the registry refuses.
        """
        if is_digest(target):
            verify(data, target, f"manifest for {reference.name}")

        async def operation(endpoint: Endpoint) -> Pushed:
            try:
                return await self.put_to(endpoint, reference, target, media_type, data)
            except HttpError as error:
                # The digest is right. The registry misread a link to a blob of the manifest, which
                # another client's push was rewriting: seen with `distribution` on plain files.
                error.temporary |= is_digest(target) and error.code == "DIGEST_INVALID"
                raise

        return await self._calls.run(reference, PUSH, operation)

    async def put_to(
        self, endpoint: Endpoint, reference: Reference, target: str, media_type: str, data: bytes
    ) -> Pushed:
        """Do what `put` does, at one endpoint, once."""
        request = Request(
            what=f"manifest {target} of {reference.name}",
            kind="upload",
            url=endpoint_url(endpoint, f"{reference.path}/manifests/{target}"),
            scope=Scope(reference.path, "pull,push"),
            method="PUT",
            headers={"Content-Type": media_type},
            body=data,
            answers=frozenset({200, 201, 202}),
        )
        answer = await self._transport.small(endpoint, request, self._limits.error_body)
        return Pushed(digest_of(data), answer.headers.get("OCI-Subject", ""))

    async def delete(self, reference: Reference, digest: str) -> bool:
        """Remove a manifest; say whether there was one.

        Raises:
            RemoteError: the registry refuses, as many are set up to.
        """

        async def operation(endpoint: Endpoint) -> None:
            request = Request(
                what=f"manifest {digest} of {reference.name}",
                kind="upload",
                url=endpoint_url(endpoint, f"{reference.path}/manifests/{check_digest(digest)}"),
                scope=Scope(reference.path, "delete"),
                method="DELETE",
                answers=frozenset({200, 202, 204}),
            )
            await self._transport.small(endpoint, request, self._limits.error_body)

        try:
            await self._calls.run(reference, PUSH, operation)
        except NotFoundError:
            return False
        return True

    def _request(
        self, endpoint: Endpoint, reference: Reference, target: str, method: str = "GET"
    ) -> Request:
        return Request(
            what=f"manifest {target} of {reference.name}",
            kind="manifest",
            url=endpoint_url(endpoint, f"{reference.path}/manifests/{target}"),
            scope=Scope(reference.path),
            method=method,
            headers={"Accept": _ACCEPT},
        )


def _claimed(answer: Answer) -> str | None:
    """Return the digest that the registry says the manifest has."""
    claimed = answer.headers.get("Docker-Content-Digest")
    if claimed is None or (claimed.startswith("sha512:")):
        return None
    try:
        return check_digest(claimed)
    except CorruptError as error:
        raise CorruptError(f"Docker-Content-Digest: {error.message}") from error
