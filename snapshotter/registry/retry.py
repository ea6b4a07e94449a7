"""Which failures are worth another try, where, and when. Pure: no clock, no sleeping."""

import datetime as dt
import email.utils
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bootseer.errors import BootseerError, NotFoundError, RemoteError
from snapshotter.registry.breaker import HeldBackError

T = TypeVar("T")

_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpError(RemoteError):
    """A registry's answer that is not what was asked for, with what it says about trying again."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`code`: as the distribution specification has it (`DIGEST_INVALID`), where it is said."""
        super().__init__(message, hint=hint, temporary=is_temporary(status))
        self.status = status
        self.code = code
        self.retry_after = retry_after


class SilenceError(RemoteError):
    """Somebody did not answer in time. It has cost all that time, so it is not tried lightly."""

    def __init__(self, message: str) -> None:
        super().__init__(message, temporary=True)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try again. Times in seconds."""

    attempts: int = 5
    """Tries at the last endpoint that can answer."""
    mirror_attempts: int = 2
    """Tries at an endpoint behind which there is another, unless it fell silent or is held back."""
    mirror_patience: float = 1.0
    """An endpoint behind which there is another is left if it asks for more patience than this."""
    first_pause: float = 0.2
    longest_pause: float = 8.0
    longest_retry_after: float = 30.0
    """A server that asks for more patience than this counts as failed."""


def is_temporary(status: int) -> bool:
    """Say whether an HTTP status promises that the same request may succeed later."""
    return status in _TEMPORARY


def parse_retry_after(value: str | None, now: dt.datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3).

    None if there is no header, or it makes no sense. `now` is aware of its time zone.
    """
    if value is None:
        return None
    if seconds := re.fullmatch(r"\s*(\d{1,9})\s*", value, re.ASCII):
        return float(seconds[1])
    try:
        when = email.utils.parsedate_to_datetime(value)
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def pause(policy: RetryPolicy, failures: int, retry_after: float | None, chance: float) -> float:
    """Return the seconds to wait after `failures` (1 or more) failures in a row.

    Doubles up to a ceiling; `chance`, drawn from [0, 1), spreads clients that failed together
    over the upper half of that time. A server's own wish is never undercut.
    """
    ceiling = policy.longest_pause
    backoff = min(ceiling, policy.first_pause * 2 ** min(failures - 1, 30))
    spread = backoff * (0.5 + chance / 2)
    return float(spread if retry_after is None else max(spread, retry_after))


class Attempts(Generic[T]):
    """Decides, failure by failure, whom to ask next. One object a call; holds no clock.

    `current` is the endpoint to ask now. `failed()` moves on and returns the pause before the
    next try, or raises the error that the whole call ends with.
    """

    def __init__(
        self, endpoints: Sequence[T], policy: RetryPolicy, authority: T | None = None
    ) -> None:
        """`endpoints`: at least one. What `authority` does not have, nobody has."""
        self._endpoints = list(endpoints)
        self._authority = self._endpoints[-1] if authority is None else authority
        self._policy = policy
        self._position = 0
        self._failures = 0
        self._errors: list[BootseerError] = []

    @property
    def current(self) -> T:
        """The endpoint to ask now."""
        return self._endpoints[self._position]

    @property
    def failures(self) -> int:
        """Failures in a row at the current endpoint."""
        return self._failures

    def progressed(self) -> None:
        """Note that the current endpoint did deliver: its failures no longer count."""
        self._failures = 0

    def failed(self, error: BootseerError, chance: float) -> float:
        """Note a failure; return the seconds to wait before asking `current`, which may be new.

        Raises:
            BootseerError: there is nobody left to ask. `NotFoundError` only if the authority, or
                everybody, said so: a mirror that lacks an object proves nothing.
        """
        self._failures += 1
        if self._again(error):
            asked = getattr(error, "retry_after", None)
            return pause(self._policy, self._failures, asked, chance)
        final = isinstance(error, NotFoundError) and self.current == self._authority
        if final or self._position + 1 == len(self._endpoints):
            raise self._verdict(error)
        self._errors.append(error)
        self._position += 1
        self._failures = 0
        return 0.0

    def _again(self, error: BootseerError) -> bool:
        if not isinstance(error, RemoteError) or not error.temporary:
            return False
        last = self._position + 1 == len(self._endpoints)
        patience = self._policy.longest_retry_after if last else self._policy.mirror_patience
        if (getattr(error, "retry_after", None) or 0.0) > patience:
            return False
        if last:
            return self._failures < self._policy.attempts
        costly = isinstance(error, SilenceError | HeldBackError)
        return not costly and self._failures < self._policy.mirror_attempts

    def _verdict(self, last: BootseerError) -> BootseerError:
        others = [error for error in self._errors if not isinstance(error, NotFoundError)]
        if isinstance(last, NotFoundError) and self.current != self._authority:
            # One that could not be asked may well have it.
            last = others.pop() if others else last
        if others:
            last.add_note("tried before: " + "; ".join(error.message for error in others))
        return last
