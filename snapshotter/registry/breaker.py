"""How much a host that fails is asked: one question at a time, until it answers one. No I/O.

A registry that is down is met by hundreds of reads at once, each of which tries several times.
After `failures` in a row nobody asks but one call every `pause` seconds; the others use up their
tries without a connection, waiting in between as ever, and go on as soon as that one was answered.
So reads are as patient as before, and the host is not kept from getting up. A host that says when
to come back (`Retry-After`) is not asked by anybody until then.

Race-free: called by the event loop's thread only, and nothing here awaits.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bootseer.errors import RemoteError


class HeldBackError(RemoteError):
    """A host was not asked: it would not answer. `retry_after`: for how long, if it said so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message, temporary=True)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a host counts as failing. Times in seconds."""

    failures: int = 10
    """In a row, by all calls together; none of them an answer of any kind."""
    pause: float = 1.0
    """Between two questions to a failing host."""


@dataclass(slots=True)
class _Host:
    failures: int = 0
    next_trial: float = 0.0
    held_until: float = 0.0


class Breaker:
    """What is known of hosts that fail."""

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._policy = policy
        self._clock = clock
        self._hosts: dict[str, _Host] = {}

    def admit(self, host: str) -> None:
        """Return if a host may be asked now.

        Raises:
            HeldBackError: it may not.
        """
        known = self._hosts.get(host)
        if known is None:
            return
        now = self._clock()
        if known.held_until > now:
            left = known.held_until - now
            raise HeldBackError(f"{host} asked to be left alone for {left:.1f} s", retry_after=left)
        if known.failures < self._policy.failures:
            return
        if known.next_trial > now:
            raise HeldBackError(f"{host} failed {known.failures} times in a row")
        known.next_trial = now + self._policy.pause

    def failed(self, host: str) -> bool:
        """Note that a host did not answer; say whether it counts as failing from now on."""
        known = self._hosts.setdefault(host, _Host())
        known.failures += 1
        known.next_trial = self._clock() + self._policy.pause
        return known.failures == self._policy.failures

    def hold(self, host: str, seconds: float) -> None:
        """Note that a host wants to be left alone for so long."""
        known = self._hosts.setdefault(host, _Host())
        known.held_until = max(known.held_until, self._clock() + seconds)

    def answered(self, host: str) -> None:
        """Note that a host answered."""
        known = self._hosts.get(host)
        if known is not None:
            known.failures = 0
            if known.held_until <= self._clock():
                del self._hosts[host]
