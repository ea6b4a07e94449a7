"""Calls to NameNodes and the DataNodes that they name: addresses, time-outs, errors, retries.

Of several NameNodes one is active. Whichever was last is asked first; one that is on standby, or
does not answer, makes the next one the first to be asked.

Concurrency: shared are aiohttp's session and the number of the NameNode to ask. A call that fails
moves that on only from the one which it asked itself, so calls that fail together move it once; and
a wrong number costs a detour, never a wrong answer.
"""

import asyncio
import base64
import contextlib
import copy
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import aiohttp
from yarl import URL

from bootseer.errors import BootseerError, CorruptError, NotFoundError, RemoteError
from bootseer.webhdfs import gss
from bootseer.webhdfs.address import HdfsAddress
from bootseer.webhdfs.answers import Fault, parse_fault
from bootseer.webhdfs.tokens import Tokens

T = TypeVar("T")

PIECE: Final = 1 << 20
"""Bytes of an answer that are in memory at once."""

_LONGEST_PAUSE: Final = 2.0
_STANDBY: Final = "StandbyException"
_UNREACHED: Final = {"ConnectException", "NoRouteToHostException", "ConnectTimeoutException"}
"""What a DataNode says that does not reach its NameNode."""
_LOST: Final = {"EOFException", "SocketTimeoutException"}
_OUTAGE: Final = frozenset(
    {_STANDBY, "SafeModeException", "RetriableException", *_UNREACHED, *_LOST}
)
_ABSENT: Final = frozenset({"FileNotFoundException", "ParentNotDirectoryException"})
_REFUSED: Final = frozenset({"AccessControlException", "SecurityException"})
_QUOTA: Final = "QuotaExceededException"
_NO_NODES: Final = "suggest to check cluster health. excludeDatanodes=null"
"""What a NameNode says that has just started, until its DataNodes come back."""
_KERBEROS_HINT: Final = (
    "it wants Kerberos: core-site.xml in HADOOP_CONF_DIR has to say so "
    "(hadoop.security.authentication), and the NameNode's name has to be its real one"
)
_TLS_HINT: Final = (
    "SSL_CERT_FILE may name a file (PEM) with the certificates of the authorities to trust"
)
_REDIRECT: Final = 307
_SMALL: Final = 64 << 10
_BELOW_A_FILE: Final = "(is not a directory)"
_PAST_END: Final = "out of the range"


Errors: TypeAlias = Callable[[str, int, Fault], Exception]
"""What an answer amounts to: who was asked for what, the HTTP status, and what it says."""


class ExistsError(Exception):
    """There is something of that name already."""


class OutageError(RemoteError):
    """No NameNode can be used now: it does not answer, is on standby or in safe mode."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="is the address right, the NameNode up?", temporary=True)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how often. Seconds."""

    connect: float = 10.0
    stall: float = 30.0
    """Silence in the middle of an answer."""
    call: float = 60.0
    """A call without data, and what one with data has beside the time for the data."""
    slowest: float = 64 * 1024
    """Bytes a second: what is slower has stalled."""
    attempts: int = 3
    pause: float = 0.5
    """Before the second attempt; doubles, up to `_LONGEST_PAUSE`."""
    outage: float = 0.0
    """For so long NameNodes may be away before that is an error; `attempts` in any case."""

    def transfer(self, size: int) -> float:
        """Return the time within which `size` bytes must be there."""
        return self.call + size / self.slowest


DEFAULT_PATIENCE: Final = Patience()


class Calls:
    """Sends requests to one cluster."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: HdfsAddress,
        patience: Patience,
        errors: Errors | None = None,
    ) -> None:
        """`errors` chooses what is raised for an answer that is an error; see `error_of`."""
        self._session = session
        self._address = address
        self._active = 0
        self._errors = errors or error_of
        self._tokens = Tokens(self._negotiated) if address.secure else None
        self.patience = patience

    def raising(self, errors: Errors) -> "Calls":
        """Return the same, as the same, but for what is raised for an answer that is an error."""
        other = copy.copy(self)
        other._errors = errors
        return other

    @property
    def user(self) -> str:
        """Who we are there; of a secured cluster, known after the first call."""
        return self._address.user if self._tokens is None else self._tokens.user

    def url(self, path: str, op: str, **query: str) -> URL:
        """Return the address of an operation on a path below the root (empty: the root).

        It names no host: `opened` asks the active NameNode.
        """
        whole = f"/webhdfs/v1{self.absolute(path)}"
        return URL.build(path=whole, query={"op": op, **query})

    def inode_url(self, number: int, op: str, **query: str) -> URL:
        """Return the address of an operation on a file by its number, wherever it is now."""
        return URL.build(path=f"/webhdfs/v1/.reserved/.inodes/{number}", query={"op": op, **query})

    def absolute(self, path: str) -> str:
        """Return the path in HDFS of a path below the root."""
        return f"{self._address.root}/{path}" if path else self._address.root or "/"

    async def small(self, method: str, path: str, op: str, most: int, **query: str) -> bytes:
        """Do an operation and return its answer of at most `most` bytes.

        Raises:
            NotFoundError, RemoteError, CorruptError: as `opened`.
            ExistsError: there is something of that name already.
        """
        async with (
            asyncio.timeout(self.patience.call),
            self.opened(method, self.url(path, op, **query)) as response,
        ):
            return await _at_most(response, most)

    @contextlib.asynccontextmanager
    async def opened(
        self, method: str, url: URL, data: Any = None, *, redirect: bool = True
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; inside the context its answer can be read, by the caller's deadline.

        `url` without a host is asked of the active NameNode, in our name. `redirect`: go on to the
        DataNode that it names.

        Raises:
            NotFoundError: there is no such file.
            ExistsError: there is something of that name already.
            CorruptError: the file ends before what was asked for.
            RemoteError: the cluster refuses, fails or does not answer.
            TicketError: the cluster wants Kerberos, and there is no ticket.
        """
        if url.absolute:
            async with self._sent(method, url, None, data) as response:
                yield response
            return
        asked = self._active
        whole, headers = await self._asked_of(asked, url)
        async with self._sent(method, whole, asked, data, headers) as response:
            if not (redirect and response.status == _REDIRECT):
                yield response
                return
            place = redirected(response, url.path)
        async with self._sent(method, place, None, data) as response:
            yield response

    async def close(self) -> None:
        """Leave nothing of ours in the cluster, if it answers."""
        if self._tokens is not None:
            with contextlib.suppress(BootseerError, TimeoutError):
                async with asyncio.timeout(self.patience.connect):
                    await self._tokens.cancel()

    @contextlib.asynccontextmanager
    async def _sent(
        self,
        method: str,
        url: URL,
        asked: int | None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request. `asked`: the number of the NameNode that it is for."""
        what = f"{url.query.get('op')} {url.path.removeprefix('/webhdfs/v1') or '/'}"
        patience = self.patience
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=patience.connect, sock_read=patience.stall
        )
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False, timeout=limits
            ) as response:
                if response.status >= 300 and response.status != _REDIRECT:
                    fault = parse_fault(await _at_most(response, 64 << 10))
                    self._take_note(fault, url, asked)
                    if is_outage(fault):
                        raise OutageError(f"{what}: {url.authority}: {fault.message}")
                    raise self._errors(f"{what} at {url.host}", response.status, fault)
                asked = None  # it is active; what breaks from now on is no reason to leave it
                yield response
        except aiohttp.ClientSSLError as error:
            raise RemoteError(f"{what}: {error}", hint=_TLS_HINT) from error
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            late = isinstance(error, TimeoutError)
            why = "did not answer in time" if late else type(error).__name__
            message = f"{what}: {url.authority}: {why}"
            if asked is None:
                raise RemoteError(message, temporary=True) from error
            self._leave(asked)
            raise OutageError(message) from error

    def _take_note(self, fault: Fault, url: URL, asked: int | None) -> None:
        """Draw from an error what is to be different when it is tried again."""
        if fault.exception == _STANDBY:
            self._leave(asked)
        if is_token_refused(fault) and self._tokens is not None:
            self._tokens.refuse(url.query.get("delegation", ""))

    async def again(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` gives, which may fail for a while and is tried again then.

        Where that is for its NameNode's sake, the next one is tried at once. Raises what it raised
        last.
        """
        now = asyncio.get_running_loop().time
        end = now() + self.patience.outage
        for attempt in itertools.count(1):
            try:
                return await self.in_turn(work)
            except RemoteError as error:
                more = attempt < self.patience.attempts
                more |= isinstance(error, OutageError) and now() < end
                if not (error.temporary and more):
                    raise
            await self.pause(attempt)
        raise AssertionError("unreachable")

    async def pause(self, attempt: int) -> None:
        """Wait before the next attempt."""
        chance = random.random()  # noqa: S311  (not a secret: it spreads those who wait)
        pause = min(self.patience.pause * 2 ** (attempt - 1), _LONGEST_PAUSE)
        await asyncio.sleep(pause * (0.5 + chance))

    async def in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` gives, asked of each NameNode once until one can be used.

        Raises what it raised; an OutageError that says why of each if none can be used.
        """
        reasons = []
        for _ in self._address.name_nodes:
            try:
                return await work()
            except OutageError as error:
                reasons.append(error.message)
        raise OutageError("; ".join(dict.fromkeys(reasons)))

    async def _asked_of(self, number: int, url: URL) -> tuple[URL, Mapping[str, str]]:
        """Return address and headers of an operation at a NameNode, in our name."""
        whole = self._at(number, url)
        if self._tokens is None:
            return whole.update_query({"user.name": self._address.user}), {}
        if "op" in url.query:
            return whole.update_query(delegation=await self._tokens.current()), {}
        try:
            return whole, await self._proof(number)  # other servlets know no tokens
        except gss.TicketError:
            return whole, {}  # and most want no proof

    async def _negotiated(self, method: str, op: str, query: dict[str, str]) -> bytes:
        """Do an operation as whom Kerberos says, at whichever NameNode is active."""

        async def work() -> bytes:
            asked = self._active
            url = self._at(asked, self.url("", op, **query))
            async with (
                asyncio.timeout(self.patience.call),
                self._sent(method, url, asked, None, await self._proof(asked)) as response,
            ):
                return await _at_most(response, _SMALL)

        return await self.in_turn(work)

    async def _proof(self, number: int) -> dict[str, str]:
        """Return the headers that prove to a NameNode who we are. TicketError if nothing does."""
        host = self._address.name_nodes[number].host
        token = await asyncio.to_thread(gss.negotiate, host)
        return {"Authorization": f"Negotiate {base64.b64encode(token).decode()}"}

    def _at(self, number: int, url: URL) -> URL:
        node = self._address.name_nodes[number]
        scheme = "https" if node.tls else "http"
        return URL.build(scheme=scheme, host=node.host, port=node.port).join(url)

    def _leave(self, asked: int | None) -> None:
        """Ask the NameNode after this one from now on. None: it was none's fault."""
        if asked is not None and asked == self._active:
            self._active = (asked + 1) % len(self._address.name_nodes)


def redirected(response: aiohttp.ClientResponse, what: str) -> URL:
    """Return the address of the DataNode that a NameNode names. RemoteError if it names none.

    Who was asked over TLS names one that speaks it too.
    """
    location = response.headers.get("Location", "")
    try:
        url = URL(location, encoded=True)
        same = url.scheme == response.url.scheme
        usable = response.status == _REDIRECT and same and bool(url.host)
    except ValueError:
        usable = False
    if not usable:
        raise RemoteError(f"{what}: the NameNode names no DataNode to write to")
    return url


async def _at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    while piece := await response.content.read(PIECE):
        body += piece
        if len(body) > most:
            raise RemoteError(f"{response.url.host} answers with more than {most} bytes")
    return bytes(body)


def is_outage(fault: Fault) -> bool:
    """Return whether an answer says that the NameNode cannot do its work now."""
    return fault.exception in _OUTAGE or fault.message.endswith(_NO_NODES)


def is_token_refused(fault: Fault) -> bool:
    """Return whether an answer says that a delegation token is not, or no longer, good."""
    return "InvalidToken" in fault.exception or "InvalidToken" in fault.message


def error_of(what: str, status: int, fault: Fault) -> Exception:
    """Return the error that an answer amounts to."""
    name = fault.exception
    message = f"{what}: {name or status}{f': {fault.message}' if fault.message else ''}"
    if name in _ABSENT or (name in _REFUSED and fault.message.endswith(_BELOW_A_FILE)):
        return NotFoundError(message)
    if name == "FileAlreadyExistsException":
        return ExistsError(message)
    if name == "IOException" and _PAST_END in fault.message:
        return CorruptError(message)
    hint = None
    if name in _REFUSED:
        hint = "name a user who may, as webhdfs://user@..., or change the directory's mode"
    elif name.endswith(_QUOTA):
        hint = "the directory's quota is used up"
    elif status == 401:
        hint = _KERBEROS_HINT
    elif not name:
        hint = "is that the HTTP address of a NameNode?"
    temporary = is_token_refused(fault) or (not name and status in {408, 429, 502, 503, 504})
    return RemoteError(message, hint=hint, temporary=temporary)
