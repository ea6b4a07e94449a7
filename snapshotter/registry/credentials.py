"""Who we are to a registry: credentials, and what knows them.

Sources are asked in order; each is one class with one method (`snapshotter/registry/logins`).
"""

import base64
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and secret, or a token. Never shown by `repr`."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    """A refresh token for the token service (OAuth2); then name and password do not matter."""
    registry_token: str = field(default="", repr=False)
    """A bearer token for the registry itself; then nothing else matters."""

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


class CredentialSource(Protocol):
    """Knows credentials for some registries. Must pickle, to be handed to workers."""

    def offers(self, host: str, repository: str) -> AsyncGenerator[Credentials]:
        """Yield credentials for a repository at `host[:port]`, the best first.

        Whoever asks for the next ones was refused with those before: what is only remembered has
        to be asked for anew then.
        """
        ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Knows nobody."""

    async def offers(self, host: str, repository: str) -> AsyncGenerator[Credentials]:
        """Yield nothing."""
        del host, repository
        nobody: tuple[Credentials, ...] = ()
        for one in nobody:
            yield one


@dataclass(frozen=True, slots=True)
class InOrder:
    """What the first source offers, then the second, and so on; nothing twice."""

    sources: Sequence[CredentialSource]

    async def offers(self, host: str, repository: str) -> AsyncGenerator[Credentials]:
        """Yield the offers of all sources."""
        seen: set[Credentials] = set()
        for source in self.sources:
            async with contextlib.aclosing(source.offers(host, repository)) as offers:
                async for offer in offers:
                    if offer not in seen:
                        seen.add(offer)
                        yield offer
