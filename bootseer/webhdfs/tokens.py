"""A delegation token of a secured cluster: obtained by Kerberos once, then renewed and replaced.

Kerberos proves who we are to one server at a time and wants a KDC that answers; a token is a secret
that every NameNode and DataNode of the cluster takes for a day.

Concurrency: the token is looked after by one caller at a time, under a lock; meanwhile the others
use the one there is, as long as it can be used. `refuse` forgets only the token that it names.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from bootseer.errors import BootseerError
from bootseer.webhdfs.answers import parse_home, parse_number, parse_token

log = logging.getLogger(__name__)

Ask: TypeAlias = Callable[[str, str, dict[str, str]], Awaitable[bytes]]
"""Do an operation (method, name, parameters) as whom Kerberos says; return the answer."""

_SHARE: Final = 0.75
"""Of a token's life, after which it is renewed."""
_AGAIN_S: Final = 30.0
"""Between attempts to renew a token that can still be used."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token. Times as `time.time()` has them."""

    text: str
    ends: float
    due: float
    """When to renew it."""


Step: TypeAlias = Literal["use", "renew", "obtain"]


def next_step(token: Token | None, now: float) -> Step:
    """Return what is to be done before a token is used. Pure."""
    if token is None or now >= token.ends:
        return "obtain"
    return "renew" if now >= token.due else "use"


def renewed(token: Token, ends: float, now: float) -> Token:
    """Return a token that lives until `ends`, by what the cluster says. Pure."""
    return replace(token, ends=ends, due=now + (ends - now) * _SHARE)


class Tokens:
    """The token that we use."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._token: Token | None = None
        self._lock = asyncio.Lock()
        self.user = ""
        """Who we are for the cluster, once there was a token."""

    async def current(self) -> str:
        """Return a token that can be used.

        Raises:
            TicketError: Kerberos does not say who we are.
            RemoteError: the cluster does not give one.
        """
        token = self._token
        step = next_step(token, time.time())
        busy = step == "renew" and self._lock.locked()
        if token is not None and (step == "use" or busy):
            return token.text
        async with self._lock:
            return await self._looked_after()

    def refuse(self, text: str) -> None:
        """Take note that the cluster does not take a token any more."""
        if self._token is not None and self._token.text == text:
            self._token = None

    async def cancel(self) -> None:
        """Tell the cluster that the token is not needed any more. BootseerError if it cannot be."""
        if self._token is not None:
            await self._ask("PUT", "CANCELDELEGATIONTOKEN", {"token": self._token.text})
            self._token = None

    async def _looked_after(self) -> str:
        token, now = self._token, time.time()
        step = next_step(token, now)
        if token is None or step == "obtain":
            self._token = await self._obtained()
        elif step == "renew":
            try:
                self._token = await self._prolonged(token, now)
            except (BootseerError, TimeoutError) as error:
                log.warning("hdfs.token_not_renewed", extra={"fields": {"reason": str(error)}})
                self._token = replace(token, due=now + _AGAIN_S)
        return self._token.text if self._token is not None else await self._looked_after()

    async def _obtained(self) -> Token:
        self.user = parse_home(await self._ask("GET", "GETHOMEDIRECTORY", {}))
        # Who asks is the renewer too: otherwise nobody may renew it.
        answer = await self._ask("GET", "GETDELEGATIONTOKEN", {"renewer": self.user})
        now = time.time()
        token = Token(parse_token(answer), now, now)
        return renewed(token, await self._end_of(token), now)

    async def _prolonged(self, token: Token, now: float) -> Token:
        """Return the token renewed, or another if it is near the end of its longest life."""
        ends = await self._end_of(token)
        if ends > token.ends:
            return renewed(token, ends, now)
        return await self._obtained()

    async def _end_of(self, token: Token) -> float:
        """Renew a token; return until when it can be used then."""
        answer = await self._ask("PUT", "RENEWDELEGATIONTOKEN", {"token": token.text})
        return parse_number(answer) / 1000
